import type { Recorded } from "../../../support/recorded.ts";
import { forking, infiltration, type Scene, scene, slander, washTrading } from "./attacks.ts";
import { balance, colocated, crowdedOut, newcomer } from "./choices.ts";
import { mean } from "./market.ts";

/** What a market of this seed has shown, with attackers of so many names. `control` is the same without what defends. */
export type MarketFound = Awaited<ReturnType<typeof tryMarket>>;

/** parts of what a typical exit takes in, that attackers spend on honest exits */
export const shares = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2];

/** What attackers have to spend, in what a typical exit takes in, until an exit of theirs looks like an honest one to strangers. */
async function priceOfHonesty(at: Scene): Promise<number> {
  for (const share of shares) {
    const { best, honest } = await infiltration(at, share);
    if (best >= honest) return share;
  }
  return (shares.at(-1) ?? 0) * 2;
}

export async function tryMarket(seed: number, sybils: number, watchers: number) {
  const at = scene(seed, sybils, watchers);
  return {
    wash: await washTrading(at),
    infiltration: await infiltration(at, 0.1),
    priceOfHonesty: await priceOfHonesty(at),
    slander: await slander(at, 0.1),
    slanderAtOne: await slander(at, 1),
    forks: await forking(at),
    colocated: colocated(sybils, seed),
    crowdedOut: crowdedOut(sybils, seed),
    newcomer: newcomer(sybils, seed),
  };
}

/** What must hold of each market; an empty list says that it does. */
export function problemsOf({ wash, infiltration, slander, slanderAtOne, forks, ...rest }: MarketFound): string[] {
  const fell = (one: { before: number; after: number }) => one.before - one.after;
  return [
    wash.gain !== 0 && `wash trading gains ${wash.gain}`,
    infiltration.best > infiltration.honest / 2 && `a tenth of an exit's revenue buys a score of ${infiltration.best}`,
    rest.priceOfHonesty < 0.5 && `${rest.priceOfHonesty} of an exit's revenue buys an honest score`,
    fell(slander) > 0.1 && `a tenth of an exit's revenue takes ${fell(slander)} off another's score`,
    fell(slanderAtOne) > slanderAtOne.before / 2 && `an exit's revenue takes ${fell(slanderAtOne)} off another's score`,
    forks.weight !== 0 && `who tells two stories still weighs ${forks.weight}`,
    rest.colocated.share > 2 / 21 && `exits in one /24 get ${rest.colocated.share}`,
    rest.crowdedOut.kept < 0.8 && `an exit is left ${rest.crowdedOut.kept} by worse ones beside it`,
    rest.newcomer.share < 0.01 && `a newcomer gets ${rest.newcomer.share}`,
  ].filter((problem) => problem !== false);
}

/** Each attack works where nothing defends: else it would prove nothing that it does not work. */
export function blindSpotsOf({ wash, infiltration, slander, forks, ...rest }: MarketFound): string[] {
  return [
    wash.control < 0.5 && "wash trading",
    infiltration.control < 2 * infiltration.best && "infiltration",
    slander.control > slander.before / 4 && "slander",
    !(forks.control > 0 && forks.proofs > 0) && "forks",
    rest.colocated.control < 0.5 && "colocation",
    rest.crowdedOut.control > 0.2 && "crowding out",
    rest.newcomer.control >= 0.01 && "a newcomer",
  ].filter((blind) => blind !== false);
}

export type ReputationFound = { markets: Record<number, MarketFound[]>; balances: { off: number; control: number }[]; problems: string[] };

export type ReputationOptions = {
  /** markets of each number of attackers' names; ten times as many runs of 300 sessions with three exits */
  runs: number;
  sybils: number[];
  watchers: number;
  log(line: string): void;
  signal?: AbortSignal;
  recorded?: Recorded;
};

export async function runReputation(options: ReputationOptions): Promise<ReputationFound> {
  const { runs, sybils, watchers, log, signal = new AbortController().signal } = options;
  const found: ReputationFound = { markets: {}, balances: [], problems: [] };
  const each =
    options.recorded?.each ??
    (async <T>(_: string, count: number, __: AbortSignal, once: (run: number) => Promise<T>) => {
      const results: T[] = [];
      for (let run = 0; run < count; run += 1) results.push(await once(run));
      return results;
    });
  for (const names of sybils) {
    found.markets[names] = await each(`${names} sybils`, runs, signal, async (run) => {
      const one = await tryMarket(run + 1, names, watchers);
      log(`${names} Sybils, market ${run + 1} of ${runs}: ${problemsOf(one).join("; ") || "within bounds"}`);
      return one;
    });
    for (const one of found.markets[names] ?? []) {
      found.problems.push(...problemsOf(one).map((problem) => `${names} Sybils: ${problem}`));
      found.problems.push(...blindSpotsOf(one).map((what) => `${names} Sybils: the control does not show ${what}`));
    }
  }
  found.balances = await each("balance", 10 * runs, signal, async (run) => balance(run + 1));
  for (const { off, control } of found.balances) {
    if (off > 0.2) found.problems.push(`three equal exits are ${off} off a third`);
    if (control <= 0.2) found.problems.push("the control of the balance is balanced");
  }
  return found;
}

/** over all markets of all sizes */
export const worst = ({ markets }: ReputationFound, of: (one: MarketFound) => number): number =>
  Math.max(...Object.values(markets).flat().map(of));
export const average = ({ markets }: ReputationFound, of: (one: MarketFound) => number): number =>
  mean(Object.values(markets).flat().map(of));
