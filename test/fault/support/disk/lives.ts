import { cp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { asMystError } from "../../../../src/lib/errors.ts";
import type { Observation } from "../../../support/ledger-audit.ts";
import type { Random } from "../../../support/random.ts";
import { until } from "../../../support/until.ts";
import type { Market, Part } from "../market.ts";
import { connectSoon, download, sessionNow } from "../use.ts";
import type { Damage } from "./damage.ts";
import { codeIn, doctorOn, type Started } from "./judge.ts";

/** What a node makes of a damaged disk. */
export type Ending = "goes on" | "signs nothing" | "refuses";
export type Harming = { market: Market; damage: Damage; walled: boolean; random: Random };
export type Harmed = { ending: Ending; problems: string[] };

export const MiB = 2 ** 20;

export const signedIn = (history: readonly Observation[]) => history.filter(({ where }) => where === "signed");
export const acknowledgedIn = (history: readonly Observation[]): bigint =>
  history.reduce((most, seen) => (seen.where === "acknowledged" && seen.cumulative > most ? seen.cumulative : most), 0n);

const carriedMs = 60_000;

/** A session that carries so much at least. */
export async function use(market: Market, payer: Part, bytes: number): Promise<void> {
  const endMs = performance.now() + carriedMs;
  for (;;) {
    const connection = await connectSoon(market, payer);
    const running = download(market, connection, 1n << 30n);
    let isOver = false;
    void running.over.then(() => {
      isOver = true;
    });
    await until(() => isOver || running.bytes() > bytes, carriedMs);
    if (running.bytes() > bytes) return;
    // cut off: a machine that is too busy loses connections
    if (performance.now() > endMs) throw new Error(`${running.bytes()} of ${bytes} bytes came`);
    await disconnect(payer);
  }
}
export const disconnect = async (payer: Part) => {
  if (await sessionNow(payer)) await payer.api.call("disconnect").catch(() => undefined);
};

async function payOnce(market: Market, payer: Part): Promise<string> {
  try {
    await use(market, payer, MiB / 4);
    await disconnect(payer);
    return "paid";
  } catch (error) {
    return asMystError(error).code;
  }
}

export const isUp = async (part: Part): Promise<boolean> =>
  part.api.call("status", {}, AbortSignal.timeout(5_000)).then(
    () => true,
    () => false,
  );
export const goesOn = async (started: Started): Promise<string[]> =>
  started.status === undefined ? [] : [`it does not start: ${started.said.trim().split("\n").slice(-3).join(" | ")}`];

/** Whether a payer may pay: `paid`, or the code of what it says. Asked again and again while one side or the other comes back to itself. */
export async function pay(market: Market, payer: Part): Promise<string> {
  let answer = "";
  for (let tries = 0; tries < 20 && answer !== "paid" && answer !== "LEDGER_BEHIND"; tries += 1) {
    if (tries > 0) await wait(500);
    answer = await payOnce(market, payer);
  }
  return answer;
}

/** Sessions, until a node says that its disk is full. */
export async function fill(market: Market, payer: Part, isFull: () => Promise<boolean>): Promise<string[]> {
  for (let sessions = 0; sessions < 40; sessions += 1) {
    if (await isFull()) return [];
    await payOnce(market, payer);
  }
  return ["the disk was never full"];
}
export const fullIn = async ({ dataDir }: Part): Promise<boolean> => /STORE_FULL/.test(await readFile(join(dataDir, "node.log"), "utf8"));

/** Does what a node that refuses to start has said, or what doctor says of it. */
export async function remedy(
  started: Started,
  { dataDir, backup, problems }: { dataDir: string; backup: string; problems: string[] },
): Promise<void> {
  if (codeIn(started) !== "STORE_CORRUPT") {
    await cp(join(backup, "identity"), join(dataDir, "identity"), { recursive: true });
    return;
  }
  const line = await doctorOn(dataDir);
  if (line?.state !== "fail" || !/STORE_CORRUPT/.test(line.found) || !/move it away/.test(line.remedy ?? ""))
    problems.push(`doctor says ${JSON.stringify(line)}`);
  await rename(join(dataDir, "db"), join(`${dataDir}.damaged`)).catch(async () => rm(join(dataDir, "db"), { recursive: true }));
}
