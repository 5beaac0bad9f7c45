import { keccak256, parseTransaction, type TransactionReceipt, TransactionReceiptNotFoundError } from "viem";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Client, Endpoints } from "./endpoints.ts";
import { chainError, rpcDetails, unreachable } from "./errors.ts";

/** What the chain says of a transaction, asked for in this order, so that a receipt that comes in between is not missed. */
export type Observation = {
  head: bigint;
  /** how many transactions of the sender are in final blocks */
  finalNonce: number;
  receipt: { blockNumber: bigint; status: "success" | "reverted" } | undefined;
};

/**
 * - `wait`: not final yet;
 * - `final`: it will not change any more, be it good or reverted;
 * - `replaced`: another transaction with its nonce is final, so this one never will be.
 */
export type Verdict = "wait" | "final" | "replaced";

/** A transaction in block B is final once the head is at B + confirmations. */
export function judge({ head, finalNonce, receipt }: Observation, nonce: number, confirmations: number): Verdict {
  if (receipt) return head >= receipt.blockNumber + BigInt(confirmations) ? "final" : "wait";
  return finalNonce > nonce ? "replaced" : "wait";
}

/**
 * What an RPC's refusal of a raw transaction means. `there`: it or another of its nonce is known, the chain will tell which.
 * `dear`: its fees are too low now. `later`: may be taken another time; so is whatever is not understood, since a transaction that counts as dead is made anew.
 */
export function readRefusal(details: string): "there" | "later" | "dear" | "no-gas" | "never" {
  if (/already known|already imported|known transaction|already exists|nonce (is )?too low|old nonce|already been used/i.test(details))
    return "there";
  if (/underpriced|base ?fee|fee cap/i.test(details)) return "dear";
  if (/insufficient funds/i.test(details)) return "no-gas";
  if (/intrinsic gas|exceeds (the )?block gas limit|invalid (sender|signature|chain)|not supported|oversized/i.test(details))
    return "never";
  return "later";
}

const resendMs = 30_000;
const firstWaitMs = 40;
const longestWaitMs = 2_000;
const refusedMs = 500;
/** after so long without a receipt the caller is told; the transaction stays what it is and may be followed again */
const followMs = 600_000;
/**
 * how long a transaction must seem replaced before it is given up: a node's state may be ahead of its receipts for a moment (anvil's
 * is), and behind one URL may be several nodes
 */
const certainMs = 2_000;
/** how long an RPC may be silent: a transaction that is out is not given up for a short break, one that never went out is */
const silentMs = { unsent: 300, sent: 30_000 };

export type FollowDeps = { endpoints: Endpoints; log: Logger; clock: Clock };
export type FollowOptions = {
  /** others of the same nonce that were sent before it: any of them may be mined */
  earlier?: Hex[] | undefined;
  /** what is in no block after so long is given back to the caller; default 10 min, and then with RPC_UNREACHABLE */
  patienceMs?: number | undefined;
};
export type Following = FollowOptions & { raw: Hex; from: Hex; confirmations: number; signal: AbortSignal };

/**
 * Sends a raw transaction, to every RPC and again where need be, and resolves with its receipt once that is final.
 * @throws TRANSACTION_FAILED when it reverted or never will be mined, TRANSACTION_STUCK, RPC_UNREACHABLE, INSUFFICIENT_GAS, INTERRUPTED
 */
export async function follow({ endpoints, log, clock }: FollowDeps, following: Following): Promise<TransactionReceipt> {
  const { raw, earlier = [], from, confirmations, signal, patienceMs } = following;
  const { nonce = 0 } = parseTransaction(raw);
  const hash = keccak256(raw);
  const hashes = [hash, ...earlier.map((each) => keccak256(each)).reverse()];
  const startMs = clock.nowMs();
  let minedMs = startMs;
  let sentMs = Number.NEGATIVE_INFINITY;
  let heardMs = startMs;
  let replacedMs: number | undefined;
  let wasMined = false;
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(waitMs * 1.5, longestWaitMs)) {
    if (signal.aborted) throw new MystError("INTERRUPTED", `stopped waiting for transaction ${hash}`);
    try {
      if (clock.nowMs() - sentMs >= resendMs) {
        await endpoints.all("sending a transaction", (client) => send(client, raw));
        sentMs = clock.nowMs();
      }
      const seen = await endpoints.call("waiting for a transaction", async (client) => {
        const observed = await observe(client, { hashes, from, confirmations });
        endpoints.saw(observed.head);
        return observed;
      });
      heardMs = clock.nowMs();
      if (seen.receipt) minedMs = heardMs;
      // in a block once and not any more: it is out of the pools, too
      if (wasMined && !seen.receipt) sentMs = Number.NEGATIVE_INFINITY;
      wasMined = seen.receipt !== undefined;
      const verdict = judge(seen, nonce, confirmations);
      replacedMs = verdict === "replaced" ? (replacedMs ?? heardMs) : undefined;
      if (replacedMs !== undefined && heardMs - replacedMs >= certainMs)
        throw failed(hash, "another transaction took its place", { replaced: true });
      if (verdict === "final" && seen.receipt) {
        if (seen.receipt.status === "reverted") throw failed(hash, "it reverted", { reverted: true });
        return seen.receipt;
      }
    } catch (error) {
      const patienceMs = sentMs === Number.NEGATIVE_INFINITY ? silentMs.unsent : silentMs.sent;
      const mayPass = isMystError(error, "RPC_UNREACHABLE") || (patienceMs === undefined && isMystError(error, "TRANSACTION_STUCK"));
      // whoever raises its fees, or waits, is not to ask again at once
      if (isMystError(error, "TRANSACTION_STUCK")) await clock.sleep(refusedMs, signal).catch(() => undefined);
      if (!mayPass || clock.nowMs() - heardMs > patienceMs) throw error;
      log.debug("waiting for a transaction", { hash, message: error.message });
    }
    if (patienceMs !== undefined && clock.nowMs() - minedMs > patienceMs)
      throw new MystError("TRANSACTION_STUCK", `transaction ${hash} is in no block yet`, { meta: { hash, nonce } });
    if (clock.nowMs() - startMs > followMs)
      throw new MystError("RPC_UNREACHABLE", `transaction ${hash} is not mined yet`, {
        hint: "it stays valid: look again later",
        meta: { hash },
      });
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}

async function send(client: Client, raw: Hex): Promise<void> {
  try {
    await client.sendRawTransaction({ serializedTransaction: raw });
  } catch (error) {
    const details = rpcDetails(error);
    const meaning = readRefusal(details);
    if (meaning === "there") return;
    if (meaning === "never") throw failed(keccak256(raw), details);
    if (meaning === "dear")
      throw new MystError("TRANSACTION_STUCK", `the chain does not take transaction ${keccak256(raw)} for its fees: ${details}`);
    if (meaning === "no-gas") throw chainError(error, "sending a transaction");
    throw unreachable(`the chain does not take the transaction now: ${details}`);
  }
}

async function observe(client: Client, { hashes, from, confirmations }: { hashes: Hex[]; from: Hex; confirmations: number }) {
  const head = await client.getBlockNumber({ cacheTime: 0 });
  const depth = head - BigInt(confirmations);
  const finalNonce = depth < 0n ? 0 : await client.getTransactionCount({ address: from, blockNumber: depth });
  let receipt: TransactionReceipt | undefined;
  for (const hash of hashes) receipt ??= await receiptOf(client, hash);
  return { head, finalNonce, receipt };
}

/** undefined while it is in no block */
export const receiptOf = (client: Client, hash: Hex): Promise<TransactionReceipt | undefined> =>
  client.getTransactionReceipt({ hash }).catch((error) => {
    if (error instanceof TransactionReceiptNotFoundError) return undefined;
    throw error;
  });

const failed = (hash: Hex, why: string, meta: Record<string, boolean> = {}) =>
  new MystError("TRANSACTION_FAILED", `transaction ${hash} failed: ${why}`, { meta: { hash, ...meta } });
