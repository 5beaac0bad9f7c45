import { larger, smaller } from "../lib/bigint.ts";
import { GiB, hourMs, MiB } from "../lib/units.ts";
import { due, type Terms, type Usage } from "./terms.ts";

/** How much is bought ahead of use, at first. */
export const QUANTUM_BYTES = MiB;
export const QUANTUM_MS = 5_000;
/** What the quantum of bytes grows to. */
export const QUANTUM_MAX_BYTES = 16n * MiB;
const growth = 48n;
const early = { most: 2n * MiB, growth: 4n };

type Prices = Pick<Terms, "perHour" | "perGiB">;

/**
 * How many bytes to be ahead, after `usedBytes` of a session: a quarter of what has been served up to 2 MiB, later about 2 % of it. So
 * payment keeps up on a fast line (a quantum lasts for the way of a promise there and back) while what is at stake stays small beside
 * what was had for it.
 */
export const quantumBytes = (usedBytes: bigint): bigint =>
  [smaller(usedBytes / early.growth, early.most), smaller(usedBytes / growth, QUANTUM_MAX_BYTES)].reduce(larger, QUANTUM_BYTES);

/**
 * The most that one quantum ahead can cost after `usedBytes`: `due` rounds down twice, so a difference of two dues may be 2 units over
 * the due of the difference.
 */
export const quantumMoney = (prices: Prices, usedBytes: bigint): bigint =>
  due(prices, { bytes: quantumBytes(usedBytes), ms: QUANTUM_MS }) + 2n;

/** What terms say that a quantum comes to at most, however long the session. */
export const quantumLimit = (prices: Prices): bigint => quantumMoney(prices, growth * QUANTUM_MAX_BYTES);

/** The channel's cumulative once `bought` is bought in this session; what earlier sessions prepaid and did not use comes first. */
export function cumulativeFor(prices: Prices, bought: Usage, start: { cumulative: bigint; carriedIn: bigint }): bigint {
  const owed = due(prices, bought) - start.carriedIn;
  return start.cumulative + (owed > 0n ? owed : 0n);
}

export type MeterInput = {
  terms: Prices;
  /** what the promises of this session cover */
  bought: Usage;
  /** own counters */
  used: Usage;
  /** the provider's counters, as it last told them */
  invoice: Usage;
  /** base units: the most that this session may promise */
  budget: bigint;
  /** base units prepaid on this channel before this session and not used */
  carriedIn: bigint;
};

export type Purchase = {
  /** what to have bought in all from now on, never less than before; undefined: nothing to buy now */
  buy: Usage | undefined;
  /** The budget allows no more and bytes or time are used up: the session is over. */
  exhausted: boolean;
  /** The provider counts over one quantum more than we do: end the session, promise nothing more. */
  overcharged: boolean;
};

/**
 * What a consumer buys next: up to its own meter + one quantum of bytes and of time, as soon as less than three quarters of a quantum of
 * bytes or half a quantum of time are left by its own or the provider's count. Its own meter alone says how much, so what it can lose stays under one quantum.
 */
export function nextPurchase(input: MeterInput): Purchase {
  const { bought, used, invoice } = input;
  const quantum = quantumBytes(used.bytes);
  const overcharged = invoice.bytes > used.bytes + quantum || invoice.ms > used.ms + QUANTUM_MS;
  if (overcharged) return { buy: undefined, exhausted: false, overcharged };

  const leftBytes = bought.bytes - larger(used.bytes, invoice.bytes);
  const leftMs = bought.ms - Math.max(used.ms, invoice.ms);
  const low = leftBytes < (quantum * 3n) / 4n || leftMs < QUANTUM_MS / 2;
  const wanted = { bytes: larger(bought.bytes, used.bytes + quantum), ms: Math.max(bought.ms, used.ms + QUANTUM_MS) };
  if (!low || same(wanted, bought)) return { buy: undefined, exhausted: false, overcharged };

  const affordable = withinBudget(input.terms, bought, wanted, input.budget + input.carriedIn);
  const short = !same(affordable, wanted);
  const exhausted = short && (affordable.bytes <= used.bytes || affordable.ms <= used.ms);
  return { buy: same(affordable, bought) ? undefined : affordable, exhausted, overcharged };
}

/** As much of `wanted` as `money` pays for: time first, for bytes are of no use without it; never less than `bought`. */
function withinBudget(prices: Prices, bought: Usage, wanted: Usage, money: bigint): Usage {
  if (due(prices, wanted) <= money) return wanted;
  const forTime = money - due(prices, { bytes: bought.bytes, ms: 0 });
  const ms = Math.max(bought.ms, Math.min(wanted.ms, Number(unitsFor(forTime, prices.perHour, BigInt(hourMs), BigInt(wanted.ms)))));
  const forBytes = money - due(prices, { bytes: 0n, ms });
  const bytes = larger(bought.bytes, smaller(wanted.bytes, unitsFor(forBytes, prices.perGiB, GiB, wanted.bytes)));
  return { bytes, ms };
}

/** The most units with floor(units * price / per) <= money, at most `cap`. */
function unitsFor(money: bigint, price: bigint, per: bigint, cap: bigint): bigint {
  if (money < 0n) return 0n;
  return price === 0n ? cap : smaller(cap, ((money + 1n) * per - 1n) / price);
}

const same = (a: Usage, b: Usage): boolean => a.bytes === b.bytes && a.ms === b.ms;
