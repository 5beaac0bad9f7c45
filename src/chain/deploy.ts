import { encodeAbiParameters, encodeDeployData, keccak256, type TransactionReceipt } from "viem";
import type { Identity } from "../identity/identity.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { type Logger, silentLogger } from "../lib/ports.ts";
import { mystClearingAbi, mystClearingBytecode } from "./abi/myst-clearing.ts";
import { testTokenAbi, testTokenBytecode } from "./abi/test-token.ts";
import { createEndpoints, type Endpoints } from "./endpoints.ts";
import { createTransactions } from "./transactions.ts";

export type DeployOptions = {
  rpc: string;
  /** pays for the deployment; default the first account that the RPC itself holds the key of, as development chains do */
  identity?: Pick<Identity, "address" | "sign">;
  /** an ERC-20 to pay in; default a test token of its own, which anybody may mint: worth nothing */
  token?: Hex;
  /** default "private" */
  name?: string;
  /** base units; default one whole token each */
  minDeposit?: bigint;
  minBond?: bigint;
  /** exits are heard also without a bond; default only on development chains, for play */
  freeAnnouncers?: boolean;
  /** multiaddrs; default none yet */
  bootstrap?: string[];
  /** blocks on top of one before it counts; default 12, on development chains 0 */
  confirmations?: number;
  log?: Logger;
  clock?: Clock;
  signal?: AbortSignal;
};

const deployMs = 600_000;
const usualConfirmations = 12;
/** s: 50 slots of Ethereum, and far more of any faster chain */
const usualHeadAge = 600;
/** chains of one's own machine make no block unless something is sent */
const developmentChain = /anvil|hardhat|ganache/i;

/**
 * Deploys the contract, and a token where none is named, and says what peers of this network have to agree on.
 * @throws RPC_UNREACHABLE, INSUFFICIENT_GAS, TRANSACTION_FAILED, CONTRACT_MISMATCH when `token` is no ERC-20,
 * IDENTITY_MISSING when nobody is there to pay
 */
export async function deployNetwork(options: DeployOptions): Promise<NetworkConfig> {
  const { rpc, log = silentLogger, clock = systemClock, name = "private", bootstrap = [] } = options;
  const signal = deadline(deployMs, options.signal);
  const endpoints = createEndpoints({ urls: [rpc], log, clock });
  const [chainId, version] = await endpoints.call("asking for the chain", (client) =>
    Promise.all([client.getChainId(), client.request({ method: "web3_clientVersion" }).catch(() => "")]),
  );
  const deploy = options.identity
    ? withKey(endpoints, { identity: options.identity, chainId, log, clock, signal })
    : await unlocked(endpoints, clock, signal);
  const known = options.token?.toLowerCase() as Hex | undefined;
  const tokenAddress = known ?? (await deployed(deploy, encodeDeployData({ abi: testTokenAbi, bytecode: testTokenBytecode }))).address;
  const token = await describeToken(endpoints, tokenAddress);
  const data = encodeDeployData({ abi: mystClearingAbi, bytecode: mystClearingBytecode, args: [tokenAddress] });
  const { address: contract, block } = await deployed(deploy, data);
  log.info("deployed", { chainId, contract, token: tokenAddress });
  const isDevelopment = developmentChain.test(version);
  const whole = 10n ** BigInt(token.decimals);
  return {
    v: 1,
    name,
    chainId,
    rpc: [rpc],
    contract,
    startBlock: block,
    confirmations: options.confirmations ?? (isDevelopment ? 0 : usualConfirmations),
    token,
    bootstrap,
    protocolPrefix: protocolPrefix(chainId, contract),
    minDeposit: options.minDeposit ?? whole,
    minBond: options.minBond ?? whole,
    ...((options.freeAnnouncers ?? isDevelopment) && { freeAnnouncers: true }),
    ...(isDevelopment ? { coinPrice: 0n } : { coinPrice: whole, maxHeadAge: usualHeadAge }),
  };
}

/** /mystnode/ and the first 8 hex digits of keccak256(abi.encode(uint256 chain id, address contract)): networks do not mix. */
export const protocolPrefix = (chainId: number, contract: Hex): string =>
  `/mystnode/${keccak256(encodeAbiParameters([{ type: "uint256" }, { type: "address" }], [BigInt(chainId), contract])).slice(2, 10)}`;

type Deploy = (data: Hex) => Promise<TransactionReceipt>;

function withKey(
  endpoints: Endpoints,
  {
    identity,
    chainId,
    log,
    clock,
    signal,
  }: { identity: Pick<Identity, "address" | "sign">; chainId: number; log: Logger; clock: Clock; signal: AbortSignal },
): Deploy {
  const transactions = createTransactions({ endpoints, identity, chainId, log, clock });
  return async (data) => {
    const { raw, nonce } = await transactions.prepare({ data });
    return transactions.follow(raw, nonce, 0, signal);
  };
}

async function unlocked(endpoints: Endpoints, clock: Clock, signal: AbortSignal): Promise<Deploy> {
  const asked = endpoints.call("asking for accounts", (client) => client.request({ method: "eth_accounts" } as never) as Promise<Hex[]>);
  // most RPCs know no such question
  const [from] = await asked.catch((): Hex[] => []);
  if (from === undefined)
    throw new MystError("IDENTITY_MISSING", "a deployment needs a key that pays for it", {
      hint: "run 'mystnode init', and send it some gas",
    });
  return async (data) => {
    const hash = await endpoints.call(
      "deploying",
      (client) => client.request({ method: "eth_sendTransaction", params: [{ from, data }] } as never) as Promise<Hex>,
    );
    while (!signal.aborted) {
      const receipt = await endpoints.call("deploying", (client) => client.getTransactionReceipt({ hash }).catch(() => undefined));
      if (receipt) return receipt;
      await clock.sleep(100, signal).catch(() => undefined);
    }
    throw new MystError("RPC_UNREACHABLE", `the deployment ${hash} is not mined`, { meta: { hash } });
  };
}

async function deployed(deploy: Deploy, data: Hex): Promise<{ address: Hex; block: number }> {
  const { contractAddress, blockNumber, status, transactionHash } = await deploy(data);
  if (status !== "success" || !contractAddress)
    throw new MystError("TRANSACTION_FAILED", `the deployment ${transactionHash} failed`, { meta: { hash: transactionHash } });
  return { address: contractAddress.toLowerCase() as Hex, block: Number(blockNumber) };
}

async function describeToken(endpoints: Endpoints, address: Hex): Promise<NetworkConfig["token"]> {
  const token = { address, abi: testTokenAbi } as const;
  try {
    const [symbol, decimals] = await endpoints.call("reading the token", (client) =>
      Promise.all([client.readContract({ ...token, functionName: "symbol" }), client.readContract({ ...token, functionName: "decimals" })]),
    );
    return { address, symbol: symbol.slice(0, 12), decimals };
  } catch (error) {
    if (error instanceof MystError && error.code === "RPC_UNREACHABLE" && /does not answer/.test(error.message)) throw error;
    throw new MystError("CONTRACT_MISMATCH", `${address} is no ERC-20 token on this chain`, { hint: "check --token", cause: error });
  }
}
