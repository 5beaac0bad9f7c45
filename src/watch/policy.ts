import { smaller } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import { feeOf } from "../payments/check.ts";
import { type ClearingCosts, closeDelayMs, closeWithinMs } from "../payments/clearing-policy.ts";
import type { AccountView } from "../payments/settlement.ts";

/** A channel that is watched for its provider, as the choice of what to clear sees it. Amounts in base units. */
export type Watched = {
  key: string;
  signer: Hex;
  /** promised, and neither paid nor claimed yet */
  unsettled: bigint;
  feeBps: number;
  /** until when the contract takes its check */
  deadlineMs: number;
  /** the provider is in the network, so it can clear by itself */
  here: boolean;
  /** which of the provider's watchers we are, from 0 */
  place: number;
};

/** How far an account reaches. */
export type Payer = Pick<AccountView, "balance" | "closeAtMs">;

/** The next watcher's turn comes so much later: two that clear the same pay gas twice, for one fee. */
export const turnMs = 4 * 3_600_000;
/** What is not in a block by then may be too late for its check. */
const marginMs = 5 * 60_000;

/**
 * From when on a watched channel is to be cleared, in ms since the epoch:
 * - its payer closes: at once, or after a day while its provider is here, which has that long to do it itself;
 * - its check is about to end: as long before as a payer takes to close, so that no absence is too long;
 * - what is watched of its payer is more than the account holds, or over half of it while the provider is away: at once.
 */
export function clearFromMs({ deadlineMs, here, place }: Watched, { balance, closeAtMs }: Payer, watchedOfPayer: bigint): number {
  if (watchedOfPayer > balance || (!here && 2n * watchedOfPayer > balance)) return 0;
  const myTurnMs = place * turnMs;
  const lapsesMs = deadlineMs - closeDelayMs + myTurnMs;
  if (closeAtMs === undefined) return lapsesMs;
  return Math.min(lapsesMs, closeAtMs - closeDelayMs + (here ? closeWithinMs : 0) + myTurnMs);
}

/** What clearing it earns: the fee on what there is to be had. */
export const feeFor = ({ unsettled, feeBps }: Pick<Watched, "unsettled" | "feeBps">, { balance }: Pick<Payer, "balance">): bigint =>
  feeOf(smaller(unsettled, balance), feeBps);

/** Which channels to clear now, in one go: those whose time it is and whose fee pays for their gas, if together they pay for the transaction. The pressing ones first. */
export function chooseClear(
  watched: Watched[],
  payerOf: (signer: Hex) => Payer | undefined,
  { first, next }: ClearingCosts,
  nowMs: number,
): string[] {
  const sums = new Map<Hex, bigint>();
  for (const { signer, unsettled } of watched) sums.set(signer, (sums.get(signer) ?? 0n) + unsettled);
  const chosen = watched.flatMap((one) => {
    const payer = payerOf(one.signer);
    if (!payer || one.unsettled <= 0n || payer.balance === 0n || nowMs > one.deadlineMs - marginMs) return [];
    if (nowMs < clearFromMs(one, payer, sums.get(one.signer) ?? 0n)) return [];
    const fee = feeFor(one, payer);
    const endsMs = Math.min(one.deadlineMs, payer.closeAtMs ?? Number.POSITIVE_INFINITY);
    return fee >= next ? [{ key: one.key, fee, endsMs }] : [];
  });
  const earned = chosen.reduce((sum, { fee }) => sum + fee, 0n);
  if (chosen.length === 0 || earned < first + next * BigInt(chosen.length - 1)) return [];
  return chosen.sort((a, b) => a.endsMs - b.endsMs).map(({ key }) => key);
}

/** A channel as it takes up room. */
export type Held = { key: string; signer: Hex; provider: Hex; unsettled: bigint; takenMs: number };
export type Room = { all: number; perProvider: number; perSigner: number };

/**
 * What has to go so that a channel can be kept: nothing, those worth less than it, or undefined where there are none such. Worth counts
 * what the payer's account holds for it, those that came first being served first: who wants to push out what is worth u has to have u
 * on deposit for each. The fee does not count, for who pays itself can promise any.
 */
export function makeRoom(wanted: Held, held: readonly Held[], balanceOf: (signer: Hex) => bigint, room: Room): string[] | undefined {
  if (held.some(({ key }) => key === wanted.key)) return [];
  const going = new Set<string>();
  let worths: Map<string, bigint> | undefined;
  const crowds: [most: number, has: (one: Held) => boolean][] = [
    [room.perProvider, ({ provider }) => provider === wanted.provider],
    [room.perSigner, ({ signer }) => signer === wanted.signer],
    [room.all, () => true],
  ];
  for (const [most, has] of crowds) {
    const crowd = held.filter((one) => has(one) && !going.has(one.key));
    if (crowd.length < most) continue;
    worths ??= worthsOf([...held, wanted], balanceOf);
    const worth = ({ key }: Held): bigint => worths?.get(key) ?? 0n;
    const least = crowd.reduce((a, b) => (worth(b) < worth(a) ? b : a));
    if (worth(least) >= worth(wanted)) return undefined;
    going.add(least.key);
  }
  return [...going];
}

function worthsOf(held: readonly Held[], balanceOf: (signer: Hex) => bigint): Map<string, bigint> {
  const left = new Map<Hex, bigint>();
  const worths = new Map<string, bigint>();
  for (const { key, signer, unsettled } of [...held].sort((a, b) => a.takenMs - b.takenMs)) {
    const balance = left.get(signer) ?? balanceOf(signer);
    const worth = smaller(unsettled > 0n ? unsettled : 0n, balance);
    left.set(signer, balance - worth);
    worths.set(key, worth);
  }
  return worths;
}
