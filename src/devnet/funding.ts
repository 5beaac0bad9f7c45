import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";

/** wei: more than any devnet spends */
const gas = 10n ** 21n;
const answerSchema = z.object({ result: z.unknown().optional(), error: z.object({ message: z.string() }).optional() });

/**
 * One question to the chain's JSON-RPC.
 * @throws RPC_UNREACHABLE, TRANSACTION_FAILED with what the node says
 */
export async function ask(rpc: string, method: string, params: unknown[]): Promise<unknown> {
  let raw: unknown;
  try {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const response = await fetch(rpc, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: AbortSignal.timeout(10_000),
    });
    raw = await response.json();
  } catch (cause) {
    throw new MystError("RPC_UNREACHABLE", `the devnet's chain at ${rpc} does not answer`, { cause });
  }
  const answer = answerSchema.parse(raw);
  if (answer.error) throw new MystError("TRANSACTION_FAILED", `${method}: ${answer.error.message}`);
  return answer.result;
}

const word = (value: bigint | Hex) => BigInt(value).toString(16).padStart(64, "0");

/** As only a private chain gives it. */
export const giveGas = (rpc: string, address: Hex): Promise<unknown> => ask(rpc, "anvil_setBalance", [address, `0x${gas.toString(16)}`]);

/** Gas and test tokens for an address. `tokens` in base units. */
export async function fund(rpc: string, { token }: Pick<NetworkConfig, "token">, address: Hex, tokens: bigint): Promise<void> {
  const [from] = (await ask(rpc, "eth_accounts", [])) as Hex[];
  // mint(address,uint256): anybody may, it is a test token
  const mint = { from, to: token.address, data: `0x40c10f19${word(address)}${word(tokens)}` };
  await Promise.all([mined(rpc, mint), giveGas(rpc, address)]);
}

let lastMined: Promise<void> = Promise.resolve();

/** Sends from an account of the chain's own and waits for the block, which anvil's answer does not. One at a time: two at once would get the same nonce. */
function mined(rpc: string, transaction: object): Promise<void> {
  const done = lastMined.then(async () => {
    const hash = await ask(rpc, "eth_sendTransaction", [transaction]);
    for (let tries = 0; (await ask(rpc, "eth_getTransactionReceipt", [hash])) === null; tries += 1) {
      if (tries > 500) throw new MystError("TRANSACTION_FAILED", "the devnet's chain mines nothing");
      await wait(10);
    }
  });
  lastMined = done.catch(() => undefined);
  return done;
}

/** Whether there is a contract at the address. */
export const hasCode = async (rpc: string, address: Hex): Promise<boolean> =>
  (await ask(rpc, "eth_getCode", [address, "latest"]).catch(() => "0x")) !== "0x";
