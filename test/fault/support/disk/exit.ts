import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Observation } from "../../../support/ledger-audit.ts";
import { until } from "../../../support/until.ts";
import { hearPromises } from "../hearing.ts";
import { askLedger } from "../ledgers.ts";
import type { Part } from "../market.ts";
import { sessionNow } from "../use.ts";
import { lostSilently, refusal, tryStart } from "./judge.ts";
import {
  acknowledgedIn,
  disconnect,
  type Ending,
  fill,
  fullIn,
  goesOn,
  type Harmed,
  type Harming,
  isUp,
  MiB,
  pay,
  remedy,
  use,
} from "./lives.ts";
import { littleRoom, readOnly } from "./room.ts";

/** The market's exit on a new database, whose disk fails it between two of its lives. */
export async function harmExit({ market, damage, walled, random }: Harming): Promise<Harmed> {
  const { exit } = market;
  const payer = market.payers[0] as Part;
  const { dataDir } = exit;
  const backup = `${dataDir}.backup`;
  const history: Observation[] = [];
  const problems: string[] = [];
  if (!(await isUp(payer))) await payer.start();
  const events = hearPromises(payer, history);
  events.begin();
  const held = async () =>
    (await askLedger("provider", exit, payer.address)).reduce((most, { cumulative }) => (cumulative > most ? cumulative : most), 0n);
  const life = async (bytes: number) => {
    await tryStart(exit);
    await use(market, payer, bytes);
    await wait(random.int(200));
    await exit.kill();
    await until(async () => (await sessionNow(payer)) === undefined, 30_000);
  };
  /** The payer comes back, and with it what it has promised. */
  const backAgain = async (when: string) => {
    const answer = await pay(market, payer);
    if (answer !== "paid") problems.push(`${when} its payer says ${answer}`);
    const [had, has] = [acknowledgedIn(history), await held()];
    if (has < had) problems.push(`lost: ${had} was acknowledged, ${has} is held ${when}`);
  };
  let ending: Ending = "goes on";
  try {
    if (await isUp(exit)) await exit.stop();
    if (damage.to === "full") {
      await tryStart(exit);
      await exit.stop();
      await using room = await littleRoom(dataDir, walled, random);
      await tryStart(exit, room.program);
      problems.push(...(await fill(market, payer, () => fullIn(exit))));
      if (!(await room.give())) {
        await exit.kill();
        problems.push(...(await goesOn(await tryStart(exit))));
      }
      await backAgain("with room again");
      await exit.kill();
      problems.push(...(await goesOn(await tryStart(exit))));
      problems.push(...lostSilently(acknowledgedIn(history), await held(), ""));
      await backAgain("after a restart");
      await exit.stop();
    } else {
      await life((1 + random.int(3)) * MiB);
      await cp(dataDir, backup, { recursive: true, preserveTimestamps: true });
      await life((1 + random.int(3)) * MiB);
      const had = acknowledgedIn(history);
      if (damage.to === "read-only") {
        const none = await readOnly(dataDir, walled);
        if (none) {
          ending = "refuses";
          problems.push(...refusal(await tryStart(exit)));
          await none[Symbol.asyncDispose]();
        }
      } else await damage.do({ dataDir, backup, random });
      const started = await tryStart(exit);
      if (started.status !== undefined) {
        ending = "refuses";
        problems.push(...refusal(started));
        await remedy(started, { dataDir, backup, problems });
        problems.push(...(await goesOn(await tryStart(exit))));
      } else if (damage.to !== "copy" || !/gone$|as a whole$/.test(damage.name))
        problems.push(...lostSilently(had, await held(), started.said));
      await backAgain("in the end");
    }
    await disconnect(payer);
  } finally {
    await exit.stop(3_000);
    await payer.stop(3_000);
    await events.ended();
    for (const directory of [backup, `${join(dataDir, "db")}.damaged`, join(dataDir, "db")])
      await rm(directory, { recursive: true, force: true });
  }
  return { ending, problems };
}
