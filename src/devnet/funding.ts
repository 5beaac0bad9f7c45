import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { createChain } from "../chain/client.ts";
import { openIdentity } from "../identity/open.ts";
import { systemClock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import { openStore } from "../lib/store.ts";
import { clearingDomain } from "../payments/eip712.ts";
import { openPayerLedger } from "../payments/payer-ledger.ts";
import { funding } from "./plan.ts";

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

/**
 * Gas, tokens and a deposit for the payer of a data directory, or gas and a bond for an exit, which is not heard without one; unless it has
 * them from an earlier run. Its own ledger is told of the deposit, before any node runs on it: a ledger that knows nothing of its account
 * signs nothing.
 */
export async function openAccount(
  dataDir: string,
  role: "payer" | "exit",
  { rpc, network, log }: { rpc: string; network: NetworkConfig; log: Logger },
): Promise<void> {
  const { identity } = await openIdentity(dataDir);
  await using store = await openStore(dataDir);
  const clock = systemClock;
  const ledger = await openPayerLedger({ store, identity, clock }, clearingDomain(network));
  const chain = createChain({ network, identity, log, clock });
  const account = await chain.account(identity.address);
  await ledger.reconcile(account);
  const whole = 10n ** BigInt(network.token.decimals);
  const deposit = role === "payer" ? funding.deposit * whole : network.minDeposit;
  if (account.closeAtMs !== undefined || account.balance >= deposit / 2n) return void (await giveGas(rpc, identity.address));
  const bond = account.bond > 0n ? 0n : funding.bond * whole;
  await fund(rpc, network, identity.address, role === "payer" ? funding.tokens * whole : deposit + bond);
  await chain.deposit(deposit, bond);
  await ledger.reconcile(await chain.account(identity.address));
}
