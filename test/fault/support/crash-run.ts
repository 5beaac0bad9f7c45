import { setTimeout as wait } from "node:timers/promises";
import type { Hex } from "../../../src/lib/codec.ts";
import { asMystError } from "../../../src/lib/errors.ts";
import { due } from "../../../src/payments/terms.ts";
import { auditHistory, type Fault, type Observation } from "../../support/ledger-audit.ts";
import { until } from "../../support/until.ts";
import { hearPromises } from "./hearing.ts";
import { askLedger, readLedger } from "./ledgers.ts";
import { type Market, openMarket, type Part } from "./market.ts";
import { connectOnce, connectSoon, download, sessionNow } from "./use.ts";

export type Kill = {
  victims: ("payer" | "exit")[];
  /** `start`: in a download, and once more while what that left is taken up again */
  during: "download" | "connect" | "end" | "start";
};
export type CrashOptions = { kills: Kill[]; log(line: string): void; signal?: AbortSignal };
export type CrashFound = {
  /** kills by kind */
  tried: Record<string, number>;
  faults: Fault[];
  /** whatever else did not hold, a sentence each */
  problems: string[];
  history: Observation[];
};

const mostBytes = 1n << 30n;
const kindOf = ({ victims, during }: Kill) => `${victims.join(" and ")} during ${during}`;

/** Kills processes of one market, one after the other, each started again on what it left, and writes down all that is promised meanwhile. */
export async function runCrashes({ kills, log, signal }: CrashOptions): Promise<CrashFound> {
  await using market = await openMarket();
  const { exit, network, chain } = market;
  const payer = market.payers[0] as Part;
  const found: CrashFound = { tried: {}, faults: [], problems: [], history: [] };
  const { history, problems } = found;
  const parts = { payer, exit };
  await Promise.all([exit.start(), payer.start()]);
  const promises = hearPromises(payer, history);
  promises.begin();
  const look = async (side: "payer" | "exit", isDead: boolean) => {
    const ledger = side === "payer" ? "payer" : "provider";
    // what one that lives tells is what it had when it was asked: promises that it signs meanwhile are heard of before its answer is
    const asked = history.length;
    const told = isDead ? await readLedger(ledger, parts[side], network) : await askLedger(ledger, parts[side], payer.address);
    history.splice(asked, 0, ...told);
  };

  for (const [round, kill] of kills.entries()) {
    if (signal?.aborted) break;
    const kind = kindOf(kill);
    try {
      const { attempt } = await reachMoment(market, payer, kill, (problem) => problems.push(`kill ${round + 1} (${kind}): ${problem}`));
      await Promise.all(kill.victims.map((name) => parts[name].kill()));
      if (kill.during === "start") {
        const starting = kill.victims.map((name) => parts[name].start().catch(() => undefined));
        await wait(500 + Math.random() * 3_000);
        await Promise.all(kill.victims.map((name) => parts[name].kill()));
        await Promise.all(starting);
      }
      if (kill.victims.includes("payer")) await promises.ended();
      for (const side of ["payer", "exit"] as const) await look(side, kill.victims.includes(side));
      await Promise.all(kill.victims.map((name) => parts[name].start()));
      if (kill.victims.includes("payer")) promises.begin();
      // one that outlived the exit may have found it again
      if ((await attempt) && (await sessionNow(payer))) await payer.api.call("disconnect");
      found.tried[kind] = (found.tried[kind] ?? 0) + 1;
      log(`kill ${round + 1} of ${kills.length}: ${kind}; ${history.filter(({ where }) => where === "signed").length} promises so far`);
    } catch (error) {
      problems.push(`kill ${round + 1} (${kind}): ${saidBy(error)}`);
      break;
    }
  }
  problems.push(...(await conclude(market, payer).catch((error) => [`the last session: ${saidBy(error)}`])));
  await Promise.all([payer.stop(), exit.stop()]);
  for (const side of ["payer", "exit"] as const) await look(side, true);
  for (const event of await chain.events.events(network.startBlock, (await chain.events.head()).number))
    if (event.type === "cleared") history.push({ where: "claimed", ...event });
  problems.push(...(await compareMoney(market, history)));
  found.faults = auditHistory(history);
  return found;
}

const saidBy = (error: unknown) => `${asMystError(error).code} ${(error as Error).message}`;

/** Brings a session to the moment for the kill. What each new session carries over is looked at on the way. */
async function reachMoment(
  market: Market,
  payer: Part,
  kill: Kill,
  problem: (text: string) => void,
): Promise<{ attempt?: Promise<unknown> }> {
  if (kill.during === "connect") {
    const attempt = connectOnce(market, payer).catch(() => undefined);
    await wait(Math.random() * 600);
    return { attempt };
  }
  const [before] = await askLedger("payer", payer, payer.address);
  const connection = await connectSoon(market, payer);
  const running = download(market, connection, mostBytes);
  const enough = Math.random() * 8 * 2 ** 20;
  await until(() => running.bytes() > enough);
  const session = await sessionNow(payer);
  if (!session) throw new Error("the session was over before the kill");
  const { promised, carriedIn, billedBytes: bytes, billedMs: ms } = session;
  const owed = due(session, { bytes, ms }) - carriedIn;
  if (promised !== (owed > 0n ? owed : 0n)) problem(`${promised} promised for ${owed} beyond the ${carriedIn} carried in`);
  if (before && before.cumulative > 0n && carriedIn <= 0n) problem("nothing of what was prepaid is carried over");
  await wait(Math.random() * 250);
  if (kill.during === "end") {
    void payer.api.call("disconnect").catch(() => undefined);
    await wait(Math.random() * 150);
  }
  return {};
}

/** One more session, ended in order; then every session of every run is over, all is cleared, and both processes end when asked. */
async function conclude(market: Market, payer: Part): Promise<string[]> {
  const { exit } = market;
  const problems: string[] = [];
  const connection = await connectSoon(market, payer);
  await download(market, connection, 3n * 2n ** 20n).over;
  const { session } = await payer.api.call("disconnect");
  const records = async ({ api }: Part) => (await api.call("sessions")).sessions;
  await until(async () => (await records(exit)).some(({ id, endedMs }) => id === session.id && endedMs !== undefined), 30_000);
  const other = (await records(exit)).find(({ id }) => id === session.id);
  if (!other || session.carriedIn + session.promised !== other.carriedIn + other.promised)
    problems.push(`the payer counts ${session.carriedIn} + ${session.promised}, the exit ${other?.carriedIn} + ${other?.promised}`);
  const owed = async () => (await askLedger("provider", exit, payer.address)).some((one) => "paid" in one && one.paid < one.cumulative);
  await until(async () => !(await owed()), 60_000);
  for (const part of [payer, exit]) {
    const left = async () => (await records(part)).filter(({ state }) => !/^(CLOSED|CLEARED|REFUSED)$/.test(state));
    // a record follows its ledger
    await until(async () => (await left()).length === 0, 10_000).catch(() => undefined);
    const open = await left();
    if (open.length > 0) problems.push(`${part.name} has ${open.length} sessions that are not over, one is ${open[0]?.state}`);
  }
  for (const part of [payer, exit]) {
    const status = await part.stop();
    if (status !== 0) problems.push(`${part.name} ended with ${status} when it was asked to end`);
  }
  return problems;
}

/** What both ledgers, the contract and the exit's wallet say at the end: one and the same. */
async function compareMoney({ chain, exit }: Market, history: readonly Observation[]): Promise<string[]> {
  const last = <Where extends Observation["where"]>(where: Where) =>
    history.findLast((seen) => seen.where === where) as Of<Where> | undefined;
  const [stored, held] = [last("stored"), last("held")];
  if (!stored || !held) return ["nothing was promised"];
  const problems: string[] = [];
  for (const name of ["channel", "cumulative", "total", "seq", "consumed"] as const)
    if (stored[name] !== held[name]) problems.push(`${name} at the end: ${stored[name]} at the payer, ${held[name]} at the exit`);
  const { tokens } = await chain.balances(exit.address);
  const paid = await chain.paid(held.signer as Hex, held.channel as Hex);
  if (paid !== held.cumulative || held.paid !== paid || tokens !== paid)
    problems.push(`of ${held.cumulative} promised the contract has paid ${paid}, the exit knows of ${held.paid} and has ${tokens}`);
  if (stored.total !== stored.cumulative)
    problems.push(`${stored.total} promised in all, ${stored.cumulative} of it to the one exit there is`);
  return problems;
}

type Of<Where> = Extract<Observation, { where: Where }>;
