import { larger, smaller } from "../lib/bigint.ts";

/** What clearing costs in gas now, in base units of the network's token: one claim by itself, and each further one of a batch. */
export type ClearingCosts = { first: bigint; next: bigint };

/**
 * Why a channel is cleared: its amount has grown `due`; its payer takes its money out (`close`) or has signed what cannot both be
 * true (`conflict`); somebody asked for it by `hand`, whatever it costs.
 */
export type ClearingCause = "due" | "close" | "conflict" | "hand";

/** What a channel has earned since its service began, or undefined when it is not in use. */
export type Earning = { earned: bigint; elapsedMs: number };

/** One channel as the choice of what to clear sees it. Amounts in base units. */
export type Owed = {
  key: string;
  /** promised, and neither paid nor claimed yet */
  unsettled: bigint;
  earning: Earning | undefined;
  cause: Exclude<ClearingCause, "hand">;
  /** its payer owes over a quarter of its bond in all: who waits now may find the deposit gone */
  exposed: boolean;
};

/** 1 / (g/u): what is cleared is worth at least so many times its gas. */
const gasShare = 20n;
const hourMs = 3_600_000;
/** 1 / lambda: how long a payer goes on honestly, on average, before what it owes is lost. An estimate: its root counts. */
export const meanLossMs = 30 * 24 * hourMs;
/** The contract's delay between a close and the withdrawal. */
export const closeDelayMs = 72 * hourMs;
/** A payer that closes is cleared within this. */
export const closeWithinMs = 24 * hourMs;
/** Whatever else is to be cleared is within this, or no new credit is given. */
export const clearWithinMs = 12 * hourMs;

/** When a payer that may withdraw at `closeAtMs` is to be cleared at the latest. */
export const closeDeadlineMs = (closeAtMs: number): number => closeAtMs - closeDelayMs + closeWithinMs;

/**
 * From which amount on a channel is cleared: u* = sqrt(2 g r / lambda), at which gas and the risk of loss cost the least together,
 * held between 20 g (so that g/u <= 5 %) and `settleAt`. Where gas is free the risk alone counts: `settleAt` while the channel
 * earns, anything once it does not.
 * @param gas g, what its claim costs
 */
export function clearingThreshold(gas: bigint, earning: Earning | undefined, settleAt: bigint): bigint {
  const worth = gasShare * gas;
  if (!earning) return worth;
  if (gas === 0n) return settleAt;
  const perLoss = (earning.earned * BigInt(meanLossMs)) / BigInt(Math.max(1, earning.elapsedMs));
  return larger(worth, smaller(rootOf(2n * gas * perLoss), settleAt));
}

/**
 * Which channels to clear now, in one go: those that are worth a transaction of their own, and with them those that are worth a
 * further claim. Many small amounts that nobody adds to any more make a batch of their own. None twice; the pressing ones first.
 */
export function chooseBatch(channels: Owed[], { first, next }: ClearingCosts, settleAt: bigint): string[] {
  const isDue = (gas: bigint) => (owed: Owed) => {
    if (owed.unsettled <= 0n) return false;
    if (owed.cause !== "due") return owed.unsettled > gas;
    return owed.unsettled >= (owed.exposed ? gasShare * gas : clearingThreshold(gas, owed.earning, settleAt));
  };
  const along = channels.filter((owed) => isDue(first)(owed) || isDue(next)(owed));
  const idle = along.filter(({ earning }) => !earning);
  const sum = idle.reduce((total, { unsettled }) => total + unsettled, 0n);
  const asBatch = idle.length > 0 && sum >= gasShare * (first + next * BigInt(idle.length - 1));
  const chosen = asBatch || channels.some(isDue(first)) ? along : [];
  const pressing = chosen.filter(({ cause }) => cause !== "due");
  return [...new Set([...pressing, ...chosen])].map(({ key }) => key);
}

/** Of what was promised, too little to be worth its claim although this is its last chance: lost, and said so. */
export const isDust = ({ unsettled, cause }: Pick<Owed, "unsettled" | "cause">, { next }: ClearingCosts): boolean =>
  cause === "close" && unsettled > 0n && unsettled <= next;

/**
 * The most that clearing a channel may cost: a twentieth of what it brings. On a close this grows, from then to the deadline, up
 * to the whole: gas that is dear for an hour is waited for, gas that stays dear is paid before the money is gone. A conflict is a
 * race for one deposit: the whole at once. By hand: undefined, whatever it takes.
 * @param closeAtMs when the payer may withdraw, for a close
 */
export function mostFor(cause: ClearingCause, unsettled: bigint, nowMs: number, closeAtMs?: number): bigint | undefined {
  if (cause === "hand") return undefined;
  if (cause === "conflict") return unsettled;
  const usual = unsettled / gasShare;
  if (cause === "due" || closeAtMs === undefined) return usual;
  const gone = nowMs - (closeDeadlineMs(closeAtMs) - closeWithinMs);
  const share = BigInt(Math.min(Math.max(gone, 0), closeWithinMs));
  return usual + ((unsettled - usual) * share) / BigInt(closeWithinMs);
}

/** The whole root of a whole number, by Newton's method. */
function rootOf(square: bigint): bigint {
  if (square < 2n) return square < 0n ? 0n : square;
  let root = 1n << BigInt((square.toString(2).length + 1) >> 1);
  for (;;) {
    const better = (root + square / root) >> 1n;
    if (better >= root) return root;
    root = better;
  }
}
