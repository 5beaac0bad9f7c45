import { larger, smaller } from "../lib/bigint.ts";
import { GiB, hourMs } from "../lib/units.ts";
import { QUANTUM_MS } from "./quantum.ts";
import { due, type Terms, type Usage } from "./terms.ts";

type Prices = Pick<Terms, "perHour" | "perGiB">;

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
  /** how much to be ahead now, `quantumBytes` and 5 s or less */
  quantum: Usage;
};

export type Purchase = {
  /** what to have bought in all from now on, never less than before; undefined: nothing to buy now */
  buy: Usage | undefined;
  /** The budget allows no more and bytes or time are used up: the session is over. */
  exhausted: boolean;
  /** The provider counts over one quantum more than we do, and over what was bought: end the session, promise nothing more. */
  overcharged: boolean;
};

/**
 * What a consumer buys next: up to its own meter + one quantum of bytes and of time, as soon as less than half a quantum of
 * either is left by its own or the provider's count. Its own meter alone says how much, so what it can lose stays under one quantum.
 */
export function nextPurchase(input: MeterInput): Purchase {
  const { bought, used, invoice, quantum } = input;
  // A quantum may have shrunk since it was bought; what was bought may be under way.
  const overcharged = invoice.bytes > larger(bought.bytes, used.bytes + quantum.bytes) || invoice.ms > used.ms + QUANTUM_MS;
  if (overcharged) return { buy: undefined, exhausted: false, overcharged };

  const leftBytes = bought.bytes - larger(used.bytes, invoice.bytes);
  const leftMs = bought.ms - Math.max(used.ms, invoice.ms);
  const low = leftBytes < quantum.bytes / 2n || leftMs < quantum.ms / 2;
  const wanted = { bytes: larger(bought.bytes, used.bytes + quantum.bytes), ms: Math.max(bought.ms, used.ms + quantum.ms) };
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
