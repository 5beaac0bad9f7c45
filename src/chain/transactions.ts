import {
  compactSignatureToSignature,
  keccak256,
  parseCompactSignature,
  parseTransaction,
  serializeTransaction,
  type TransactionReceipt,
  toHex,
} from "viem";
import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Prepared } from "./chain.ts";
import type { Endpoints } from "./endpoints.ts";
import { type Fees, feesAt, likelyPrice, marketOf, priceCap, raisedFees } from "./fees.ts";
import { createNonces } from "./nonces.ts";
import { type FollowOptions, follow } from "./submission.ts";

/** What a transaction does; without `to` it deploys. */
export type Call = { to?: Hex; data: Hex };

export type TransactionDeps = {
  endpoints: Endpoints;
  identity: Pick<Identity, "address" | "sign">;
  chainId: number;
  log: Logger;
  clock: Clock;
};

export type Transactions = {
  /**
   * Makes and signs, without sending. Its nonce is held until `follow` ends.
   * @throws INSUFFICIENT_GAS, GAS_PRICE_HIGH; what the contract would revert with, as `chainError` names it
   */
  prepare(call: Call, limits?: PrepareLimits): Promise<Prepared>;
  /**
   * The same under the same nonce, with fees that the chain takes now; undefined while its own are good enough, or where these
   * would cost over `maxWei`. @throws TRANSACTION_FAILED when transactions before it are missing, so that it waits for ever
   */
  raise(raw: Hex, maxWei?: bigint): Promise<Prepared | undefined>;
  /** Sends and waits until it is final. @throws as `follow` of submission.ts */
  follow(raw: Hex, nonce: number, confirmations: number, signal: AbortSignal, options?: FollowOptions): Promise<TransactionReceipt>;
};

export type PrepareLimits = {
  /** replaces the transaction of this nonce */
  nonce?: number;
  /** what its gas may cost at most */
  maxWei?: bigint | undefined;
};

const holdMs = 60_000;

/** Transactions of one account, signed with its own key. */
export function createTransactions({ endpoints, identity, chainId, log, clock }: TransactionDeps): Transactions {
  const nonces = createNonces(() => clock.nowMs(), holdMs);
  const from = identity.address;

  const prepare = (call: Call, { nonce: wanted, maxWei }: PrepareLimits = {}): Promise<Prepared> =>
    endpoints.call("preparing a transaction", async (client) => {
      const [gas, market, balance, pending] = await Promise.all([
        // not on top of what waits in the pool: a transaction that this one replaces would make it look cheap
        client.estimateGas({ account: from, blockTag: "latest", ...call }),
        marketOf(client),
        client.getBalance({ address: from }),
        client.getTransactionCount({ address: from, blockTag: "pending" }),
      ]);
      const limit = withMargin(gas);
      const perGas = maxWei === undefined ? undefined : maxWei / gas;
      const fees = feesAt(market, { replaces: wanted !== undefined, ...(perGas !== undefined && { perGas }) });
      if (!fees) throw gasTooDear(gas * likelyPrice(market), maxWei ?? 0n);
      requireGas(from, balance, limit * priceCap(fees));
      const nonce = wanted ?? nonces.take(pending);
      nonces.hold(nonce);
      return signed(identity, { ...call, ...fees, gas: limit, nonce, chainId });
    });

  const raise = (raw: Hex, maxWei?: bigint): Promise<Prepared | undefined> =>
    endpoints.call("raising a transaction's fees", async (client) => {
      const stuck = parseTransaction(raw);
      const { nonce = 0, gas = 0n, to, data = "0x" } = stuck;
      const [market, mined, pending, balance] = await Promise.all([
        marketOf(client),
        client.getTransactionCount({ address: from, blockTag: "latest" }),
        client.getTransactionCount({ address: from, blockTag: "pending" }),
        client.getBalance({ address: from }),
      ]);
      if (mined < nonce && pending <= mined)
        throw new MystError("TRANSACTION_FAILED", `transaction ${keccak256(raw)} waits for one before it that nobody has any more`);
      // one of its nonce is in a block by now
      if (mined > nonce) return undefined;
      const perGas = maxWei === undefined ? undefined : maxWei / withoutMargin(gas);
      const fees = raisedFees(stuck, market, perGas);
      if (!fees || balance < gas * priceCap(fees)) return undefined;
      nonces.hold(nonce);
      return signed(identity, { ...(to && { to }), data, ...fees, gas, nonce, chainId });
    });

  return {
    prepare,
    raise,
    follow: async (raw, nonce, confirmations, signal, options) => {
      nonces.hold(nonce);
      try {
        return await follow({ endpoints, log, clock }, { raw, from, confirmations, signal, ...options });
      } finally {
        nonces.release(nonce);
      }
    },
  };
}

/** A quarter more than estimated: what others do in between may add a fresh storage slot or two. */
const withMargin = (gas: bigint): bigint => gas + gas / 4n + 30_000n;
const withoutMargin = (limit: bigint): bigint => (limit > 55_000n ? ((limit - 30_000n) * 4n) / 5n : limit);

const gasTooDear = (wei: bigint, most: bigint) =>
  new MystError("GAS_PRICE_HIGH", `clearing would cost ${wei} wei now, and is worth ${most}`, {
    hint: "it is cleared once gas is cheaper, or at once with 'mystnode wallet settle --all'",
    meta: { wei, most },
  });

function requireGas(address: Hex, available: bigint, needed: bigint): void {
  if (available >= needed) return;
  throw new MystError("INSUFFICIENT_GAS", `${address} has ${available} wei for fees, the transaction may need ${needed}`, {
    hint: `send some of the chain's own coin to ${address}`,
    meta: { address, available, needed },
  });
}

type Unsigned = Call & Fees & { gas: bigint; nonce: number; chainId: number };

function signed(identity: Pick<Identity, "sign">, transaction: Unsigned): Prepared {
  const digest = keccak256(serializeTransaction(transaction), "bytes");
  const signature = parseCompactSignature(toHex(identity.sign(digest)));
  const raw = serializeTransaction(transaction, compactSignatureToSignature(signature));
  return { raw, hash: keccak256(raw), nonce: transaction.nonce };
}
