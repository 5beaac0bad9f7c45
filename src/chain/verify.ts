import { BaseError, HttpRequestError, TimeoutError } from "viem";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import type { Client } from "./endpoints.ts";
import { stale } from "./errors.ts";

const domainName = "MystClearing";
const domainVersion = "1";

/**
 * Whether this RPC is one of our network's chain, and the contract there the one that the network file means.
 * @throws RPC_WRONG_CHAIN, RPC_STALE, CONTRACT_MISSING, CONTRACT_MISMATCH; viem's own errors where it does not answer
 */
export async function verify(client: Client, network: NetworkConfig, nowMs: number): Promise<void> {
  const { chainId, contract: address, token, name, maxHeadAge } = network;
  const actual = await client.getChainId();
  if (actual !== chainId)
    throw new MystError("RPC_WRONG_CHAIN", `the RPC is on chain ${actual}, the network '${name}' on chain ${chainId}`, {
      hint: `give an RPC of chain ${chainId} with --rpc URL`,
      meta: { expected: chainId, actual },
    });
  if (maxHeadAge !== undefined) {
    const { timestamp, number } = await client.getBlock();
    const age = Math.round(nowMs / 1000) - Number(timestamp);
    if (age > maxHeadAge) throw stale(`the RPC's newest block ${number} is ${age} s old`);
  }
  const code = await client.getCode({ address });
  if (code === undefined || code === "0x")
    throw new MystError("CONTRACT_MISSING", `there is no contract at ${address} on chain ${chainId}`, {
      hint: "the network file and the chain do not belong together: get the current file, or restart the devnet it is from",
    });
  const contract = { address, abi: mystClearingAbi } as const;
  const [itsToken, [, itsName, version, domainChain, verifier]] = await Promise.all([
    client.readContract({ ...contract, functionName: "token" }),
    client.readContract({ ...contract, functionName: "eip712Domain" }),
  ]).catch((error) => {
    if (isSilent(error)) throw error;
    throw mismatch(`the contract at ${address} is no ${domainName}`);
  });
  if (itsToken.toLowerCase() !== token.address) throw mismatch(`the contract's token is ${itsToken.toLowerCase()}, not ${token.address}`);
  const same = itsName === domainName && version === domainVersion && domainChain === BigInt(chainId) && verifier.toLowerCase() === address;
  if (!same) throw mismatch(`the contract signs for ${itsName} ${version}, not for ${domainName} ${domainVersion}`);
}

const isSilent = (error: unknown): boolean =>
  error instanceof BaseError && error.walk((inner) => inner instanceof HttpRequestError || inner instanceof TimeoutError) !== null;

const mismatch = (message: string) =>
  new MystError("CONTRACT_MISMATCH", message, { hint: "the network file is wrong or of another version: get the current one" });
