import { compactSignatureToSignature, keccak256, parseCompactSignature, serializeTransaction, type TransactionReceipt, toHex } from "viem";
import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Prepared } from "./chain.ts";
import type { Client, Endpoints } from "./endpoints.ts";
import { createNonces } from "./nonces.ts";
import { follow } from "./submission.ts";

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
   * @throws INSUFFICIENT_GAS; what the contract would revert with, as `chainError` names it
   */
  prepare(call: Call, nonce?: number): Promise<Prepared>;
  /** Sends and waits until it is final. @throws as `follow` of submission.ts */
  follow(raw: Hex, nonce: number, confirmations: number, signal: AbortSignal): Promise<TransactionReceipt>;
};

const holdMs = 60_000;

/** Transactions of one account, signed with its own key. */
export function createTransactions({ endpoints, identity, chainId, log, clock }: TransactionDeps): Transactions {
  const nonces = createNonces(() => clock.nowMs(), holdMs);
  const from = identity.address;

  const prepare = (call: Call, wanted?: number): Promise<Prepared> =>
    endpoints.call("preparing a transaction", async (client) => {
      const replaces = wanted !== undefined;
      const [gas, fees, balance, pending] = await Promise.all([
        // not on top of what waits in the pool: a transaction that this one replaces would make it look cheap
        client.estimateGas({ account: from, blockTag: "latest", ...call }),
        feesOf(client, replaces),
        client.getBalance({ address: from }),
        client.getTransactionCount({ address: from, blockTag: "pending" }),
      ]);
      const limit = withMargin(gas);
      requireGas(from, balance, limit * (fees.maxFeePerGas ?? fees.gasPrice));
      const nonce = wanted ?? nonces.take(pending);
      nonces.hold(nonce);
      const raw = signTransaction(identity, { ...call, ...fees, gas: limit, nonce, chainId });
      return { raw, hash: keccak256(raw), nonce };
    });

  return {
    prepare,
    follow: async (raw, nonce, confirmations, signal) => {
      nonces.hold(nonce);
      try {
        return await follow({ endpoints, log, clock }, { raw, from, confirmations, signal });
      } finally {
        nonces.release(nonce);
      }
    },
  };
}

/** A quarter more than estimated: what others do in between may add a fresh storage slot or two. */
const withMargin = (gas: bigint): bigint => gas + gas / 4n + 30_000n;

type Fees =
  | { type: "eip1559"; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint; gasPrice?: never }
  | { type: "legacy"; gasPrice: bigint; maxFeePerGas?: never };

/** Room for the base fee to double. A replacement pays a quarter more: pools want at least a tenth. */
async function feesOf(client: Client, replaces: boolean): Promise<Fees> {
  const raised = (fee: bigint) => (replaces ? fee + fee / 4n + 1n : fee);
  const { baseFeePerGas } = await client.getBlock();
  if (baseFeePerGas === null) return { type: "legacy", gasPrice: raised(await client.getGasPrice()) };
  const tip = raised(await client.estimateMaxPriorityFeePerGas());
  return { type: "eip1559", maxFeePerGas: raised(baseFeePerGas * 2n) + tip, maxPriorityFeePerGas: tip };
}

function requireGas(address: Hex, available: bigint, needed: bigint): void {
  if (available >= needed) return;
  throw new MystError("INSUFFICIENT_GAS", `${address} has ${available} wei for fees, the transaction may need ${needed}`, {
    hint: `send some of the chain's own coin to ${address}`,
    meta: { address, available, needed },
  });
}

type Unsigned = Call & Fees & { gas: bigint; nonce: number; chainId: number };

function signTransaction(identity: Pick<Identity, "sign">, transaction: Unsigned): Hex {
  const digest = keccak256(serializeTransaction(transaction), "bytes");
  const signature = parseCompactSignature(toHex(identity.sign(digest)));
  return serializeTransaction(transaction, compactSignatureToSignature(signature));
}
