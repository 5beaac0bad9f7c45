import { larger, smaller } from "../lib/bigint.ts";
import type { ClearingCosts } from "../payments/clearing-policy.ts";
import type { Client } from "./endpoints.ts";

/** Wei per gas that the chain asks for now; without a base fee on chains that know none. */
export type Market = { baseFee: bigint | undefined; tip: bigint };

export type Fees =
  | { type: "eip1559"; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint; gasPrice?: never }
  | { type: "legacy"; gasPrice: bigint; maxFeePerGas?: never };

/** What a claim takes: one by itself, and each further one of a batch. Upper ends of what the contract's tests measure. */
export const claimGas = {
  settle: { first: 65_000n, next: 25_000n },
  clear: { first: 125_000n, next: 47_000n },
};
const weiPerCoin = 10n ** 18n;

export async function marketOf(client: Client): Promise<Market> {
  const { baseFeePerGas } = await client.getBlock();
  if (baseFeePerGas === null) return { baseFee: undefined, tip: await client.getGasPrice() };
  return { baseFee: baseFeePerGas, tip: await client.estimateMaxPriorityFeePerGas() };
}

/** What a transaction is likely to pay per gas. */
export const likelyPrice = ({ baseFee = 0n, tip }: Market): bigint => baseFee + tip;

/** The most that it may pay. */
export const priceCap = (fees: Fees): bigint => fees.maxFeePerGas ?? fees.gasPrice;

/** The price of gas in the token: `coinPrice` is what a whole coin is worth, in base units. */
export const inToken = (wei: bigint, coinPrice: bigint): bigint => (wei * coinPrice) / weiPerCoin;
/** The other way round; undefined where a coin is worth nothing, so that any number of them may be spent. */
export const inWei = (amount: bigint, coinPrice: bigint): bigint | undefined =>
  coinPrice === 0n ? undefined : (amount * weiPerCoin) / coinPrice;

export const clearingCosts = (market: Market, coinPrice: bigint, { first, next } = claimGas.settle): ClearingCosts => ({
  first: inToken(first * likelyPrice(market), coinPrice),
  next: inToken(next * likelyPrice(market), coinPrice),
});

/**
 * Fees for a transaction that is made now: room for the base fee to double, but never over `perGas`; undefined where even the
 * present price is over that. A replacement pays a quarter more, for pools want at least a tenth.
 */
export function feesAt(market: Market, { replaces = false, perGas }: { replaces?: boolean; perGas?: bigint } = {}): Fees | undefined {
  const raised = (fee: bigint) => (replaces ? fee + fee / 4n + 1n : fee);
  const { baseFee } = market;
  const tip = raised(market.tip);
  if (perGas !== undefined && likelyPrice({ baseFee, tip }) > perGas) return undefined;
  if (baseFee === undefined) return { type: "legacy", gasPrice: tip };
  const roomy = raised(baseFee * 2n) + tip;
  const maxFeePerGas = perGas === undefined ? roomy : smaller(roomy, perGas);
  return { type: "eip1559", maxFeePerGas, maxPriorityFeePerGas: tip };
}

/** what a pool asks on top of a transaction that is replaced: an eighth, where most ask a tenth */
const enoughMore = (fee: bigint): bigint => fee + (fee + 7n) / 8n;

/**
 * Fees that replace a stuck transaction's: at least an eighth more, and enough for the market. Undefined while its own would do
 * (it waits for something else, and more money does not help), or where that is over `perGas`.
 */
export function raisedFees(
  stuck: { maxFeePerGas?: bigint | undefined; maxPriorityFeePerGas?: bigint | undefined; gasPrice?: bigint | undefined },
  market: Market,
  perGas?: bigint,
): Fees | undefined {
  const oldCap = stuck.maxFeePerGas ?? stuck.gasPrice ?? 0n;
  const oldTip = stuck.maxPriorityFeePerGas ?? stuck.gasPrice ?? 0n;
  const { baseFee, tip } = market;
  const isEnough = oldCap >= likelyPrice(market) && oldTip >= tip;
  if (isEnough) return undefined;
  const wantedTip = larger(enoughMore(oldTip), tip);
  const least = larger(enoughMore(oldCap), baseFee === undefined ? wantedTip : baseFee + wantedTip);
  if (perGas !== undefined && least > perGas) return undefined;
  if (baseFee === undefined) return { type: "legacy", gasPrice: least };
  const roomy = larger(least, baseFee * 2n + wantedTip);
  const maxFeePerGas = perGas === undefined ? roomy : smaller(roomy, perGas);
  return { type: "eip1559", maxFeePerGas, maxPriorityFeePerGas: wantedTip };
}
