import { larger, smaller } from "../../src/lib/bigint.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { acceptPromise, type ProviderLimits, type Sight } from "../../src/payments/channel.ts";
import { maxChannels, noHeads, type SignerHeads, takeHead, totalBefore } from "../../src/payments/heads/evidence.ts";
import { growthLimit, isToTell, newcomerLimit, seenAfterMs, seenOf, type Told, telling } from "../../src/payments/heads/limits.ts";
import type { SignedPromise } from "../../src/payments/promise.ts";

/** What a cheat says that it has promised in all: only what it has promised this exit, or all that others may know of and as much as is believed. */
export type Lie = "own" | "as much as is believed";
/**
 * How it goes about it. First, openly and slowly, a part of what its bond is good for with so many exits, in the same amounts; then as much
 * as each exit takes, everywhere at once and `waves` times, a second apart. `restMs`: what it waits in between.
 */
export type Plan = { exits: number; openly: number; openlyPart: number; lie: Lie; restMs: number; waves: number };

export type Drained = {
  /** promised to exits and not paid to them, once the cheat has taken its deposit out; in thousandths of the bond */
  gain: number;
  /** what burns of the bond, in thousandths */
  lost: number;
  /** exits that have found it out by then */
  found: number;
};

const bond = 1_000_000_000n;
const deposit = 100n * bond;
const startMs = 1_700_000_000_000;
const stepMs = 250;
const limits: ProviderLimits = { maxUnsettled: bond, minBond: 1n };

type Exit = { channel: Hex; best: SignedPromise | undefined; told: Told[]; found: boolean };

/**
 * A payer that takes from many exits what they give on credit, and then its whole deposit out, by a claim of its own. Time is simulated; exits decide
 * by the product's rules, and hear of each other's heads as late as they may: after the 2 s for which they wait.
 * @param minded false: exits go by nothing that others know
 */
export function simulateDrain({ exits: count, openly, openlyPart, lie, restMs, waves }: Plan, minded = true): Drained {
  let nowMs = startMs;
  let seq = 0n;
  /** what everybody has heard by now, and what is on its way */
  let heard: SignerHeads = noHeads;
  let underWay: { atMs: number; promise: SignedPromise }[] = [];
  const heardMs = new Map<Hex, number>();
  const account = { balance: deposit, line: deposit, bond, closeAtMs: undefined, owner: `0x${"00".repeat(20)}` as Hex, readAtMs: startMs };
  const exits = Array.from({ length: count }, (_, i): Exit => {
    return { channel: `0x${i.toString(16).padStart(64, "0")}`, best: undefined, told: [], found: false };
  });
  const sum = () => exits.reduce((all, { best }) => all + (best?.cumulative ?? 0n), 0n);
  const isCounted = (but: Exit) => [...heardMs].filter(([channel, atMs]) => channel !== but.channel && nowMs - atMs <= 600_000).length;

  const tell = (exit: Exit, promise: SignedPromise) => {
    exit.told = telling(exit.told, { cumulative: promise.cumulative, atMs: nowMs }, nowMs, seenAfterMs);
    underWay.push({ atMs: nowMs + seenAfterMs, promise });
  };
  const tellInTurn = (exit: Exit) => {
    const { best } = exit;
    const growth = growthLimit(bond, isCounted(exit) + 1);
    if (best && best.cumulative > (exit.told.at(-1)?.cumulative ?? -1n) && isToTell(exit.told, best.cumulative, growth, nowMs))
      tell(exit, best);
  };
  const pass = (ms: number) => {
    for (const endMs = nowMs + ms; nowMs < endMs; ) {
      const isQuiet = underWay.length === 0 && exits.every(({ best, told }) => !best || told.at(-1)?.cumulative === best.cumulative);
      nowMs += isQuiet ? endMs - nowMs : Math.min(stepMs, endMs - nowMs);
      for (const { atMs, promise } of underWay)
        if (atMs <= nowMs) {
          heard = takeHead(heard, promise);
          heardMs.set(promise.channel, nowMs);
        }
      underWay = underWay.filter(({ atMs }) => atMs > nowMs);
      for (const exit of exits) tellInTurn(exit);
    }
  };
  /** What an exit knows: what all have heard, and its own promises. */
  const known = (exit: Exit, promise?: SignedPromise): SignerHeads =>
    [exit.best, promise].reduce((heads: SignerHeads, one) => (one ? takeHead(heads, one) : heads), heard);
  const sightOf = (exit: Exit, promise: SignedPromise): Sight => {
    const heads = known(exit, promise);
    const isCrowded = heads.crowded || (!heads.channels.has(exit.channel) && heads.channels.size >= maxChannels);
    return {
      standing: heads.evidence ? "conflict" : isCrowded ? "crowded" : "clear",
      ...{ totalBefore: totalBefore(heads, promise.seq), total: heads.total, othersUnseen: 0n },
      ...{ seen: seenOf(exit.told, nowMs, seenAfterMs), channels: isCounted(exit) + 1, exits: count },
    };
  };
  const offer = (exit: Exit, cumulative: bigint, total: bigint): boolean => {
    seq = larger(seq + 1n, BigInt(nowMs) << 20n);
    const promise = { channel: exit.channel, cumulative, total, seq, signature: new Uint8Array(64) };
    const state = { signer: account.owner, channel: exit.channel, best: exit.best, paid: 0n, claimed: 0n };
    const decision = acceptPromise(state, promise, {
      ...{ nowMs, chainReachable: true, others: { unsettled: 0n, unclaimed: 0n }, strangers: 0n, limits },
      account: { ...account, readAtMs: nowMs },
      ...(minded && { sight: sightOf(exit, promise) }),
    });
    if (!decision.accepted) return false;
    exit.best = promise;
    tellInTurn(exit);
    return true;
  };
  /** The most that this exit takes now, found by halving. */
  const takeMost = (exit: Exit) => {
    const before = exit.best?.cumulative ?? 0n;
    const total = (cumulative: bigint) => (lie === "own" ? larger(cumulative, 0n) : larger(cumulative, bond / 2n));
    for (let step = bond / 8n; step > bond / 1_000_000n; step /= 2n)
      while (offer(exit, (exit.best?.cumulative ?? before) + step, total((exit.best?.cumulative ?? before) + step)));
  };

  // openly: true totals, no more than is taken, until others have seen it
  const part = openly > 0 ? (bond * BigInt(Math.round(openlyPart * 1_000))) / 1_000n / BigInt(openly) : 0n;
  for (const exit of exits.slice(0, openly)) {
    for (let tries = 0; (exit.best?.cumulative ?? 0n) < part && tries < 200; tries += 1) {
      const left = part - (exit.best?.cumulative ?? 0n);
      const limit = minded ? smaller(newcomerLimit(bond, count), growthLimit(bond, openly)) : left;
      const more = smaller(left, larger(limit, 1n));
      if (!offer(exit, (exit.best?.cumulative ?? 0n) + more, sum() + more)) pass(1_000);
    }
  }
  pass(restMs);
  for (let wave = 0; wave < waves; wave += 1) {
    for (const exit of exits) takeMost(exit);
    pass(1_000);
  }
  pass(3 * seenAfterMs);
  for (const exit of exits) exit.found = known(exit).evidence !== undefined || known(exit).crowded;
  // its own claim takes the whole balance; the first honest one bounces and burns the bond, of which it gets an eighth at most
  const owed = sum();
  const most = exits.reduce((max, { best }) => larger(max, best?.cumulative ?? 0n), 0n);
  const fromBond = smaller(most, bond / 8n);
  const thousandths = (amount: bigint) => Number((amount * 1_000n) / bond);
  return {
    gain: thousandths(owed - fromBond),
    lost: owed > 0n ? thousandths(bond - fromBond) : 0,
    found: exits.filter(({ found }) => found).length,
  };
}
