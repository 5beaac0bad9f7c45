import { asMystError } from "../../../../src/lib/errors.ts";
import { randomOf } from "../../../support/random.ts";
import { openRecorded, type Recorded } from "../../../support/recorded.ts";
import { type Market, openMarket } from "../market.ts";
import { type Damage, damages } from "./damage.ts";
import { harmExit } from "./exit.ts";
import type { Ending } from "./lives.ts";
import { harmPayer } from "./payer.ts";

export type Side = "payer" | "exit";
export type DiskRun = { kind: string; ending: Ending; problems: string[] };

/** All that is done, to either side in turns. */
export const plan = (run: number): { side: Side; damage: Damage } => ({
  side: run % 2 === 0 ? "payer" : "exit",
  damage: damages[Math.floor(run / 2) % damages.length] as Damage,
});

export type DiskOptions = {
  runs: { side: Side; damage: Damage }[];
  /** in a mount namespace of our own */
  walled: boolean;
  log(line: string): void;
  signal?: AbortSignal;
  recorded?: Recorded;
};

/** Harms the disk of one node of a market after the other. */
export async function runDisk({ runs, walled, log, signal, recorded }: DiskOptions): Promise<DiskRun[]> {
  await using undo = new AsyncDisposableStack();
  let market: Market | undefined;
  const open = async () => {
    market ??= undo.use(await openMarket());
    return market;
  };
  const given = recorded ?? openRecorded(undefined, "disk");
  return await given.each(`${runs.length} runs`, runs.length, signal ?? new AbortController().signal, async (run) => {
    const { side, damage } = runs[run] as (typeof runs)[number];
    const kind = `${side}: ${damage.name}`;
    const random = randomOf(`disk/${run}`);
    const found: DiskRun = await (side === "payer" ? harmPayer : harmExit)({ market: await open(), damage, walled, random }).then(
      (one) => ({ ...one, kind }),
      (error) => ({ kind, ending: "refuses" as const, problems: [`it broke off: ${asMystError(error).code} ${(error as Error).stack}`] }),
    );
    log(`run ${run + 1} of ${runs.length}: ${kind}: ${found.ending}${found.problems.map((problem) => `\n  ${problem}`).join("")}`);
    return found;
  });
}
