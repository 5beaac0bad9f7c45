import { cp, rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { auditHistory, type Observation } from "../../../support/ledger-audit.ts";
import { hearPromises } from "../hearing.ts";
import { readLedger } from "../ledgers.ts";
import { cli, doctorOn, refusal, type Started, tryStart } from "./judge.ts";
import { type Ending, fill, fullIn, goesOn, type Harmed, type Harming, isUp, MiB, pay, remedy, signedIn, use } from "./lives.ts";
import { littleRoom, readOnly } from "./room.ts";

/** A payer of its own, whose disk fails it between two of its lives. */
export async function harmPayer({ market, damage, walled, random }: Harming): Promise<Harmed> {
  const { exit, network } = market;
  if (!(await isUp(exit))) await exit.start();
  const payer = await market.addPayer();
  const { dataDir } = payer;
  const backup = `${dataDir}.backup`;
  const history: Observation[] = [];
  const problems: string[] = [];
  const events = hearPromises(payer, history);
  const begin = async (program?: readonly string[]): Promise<Started> => {
    const started = await tryStart(payer, program);
    if (started.status === undefined) events.begin();
    return started;
  };
  const kill = async () => {
    await payer.kill();
    await events.ended();
  };
  const life = async (bytes: number) => {
    await begin();
    await use(market, payer, bytes);
    await wait(random.int(200));
    await kill();
  };
  const nothingSigned = (before: number, when: string) => {
    if (signedIn(history).length > before) problems.push(`${signedIn(history).length - before} promises were signed ${when}`);
  };
  /** It must not pay: what was promised since is not in its ledger. */
  const mustNotPay = async (when: string) => {
    const before = signedIn(history).length;
    const answer = await pay(market, payer);
    if (answer !== "LEDGER_BEHIND") problems.push(`asked to pay ${when}, it says ${answer}`);
    await wait(200);
    nothingSigned(before, when);
  };
  let ending: Ending = "goes on";
  try {
    if (damage.to === "full") {
      await using room = await littleRoom(dataDir, walled, random);
      await begin(room.program);
      problems.push(...(await fill(market, payer, () => fullIn(payer))));
      if (!(await room.give())) {
        await kill();
        await begin();
      }
      const answer = await pay(market, payer);
      if (answer !== "paid") problems.push(`with room again it says ${answer}`);
      await kill();
      problems.push(...(await goesOn(await begin())));
      const again = await pay(market, payer);
      if (again !== "paid") problems.push(`after a restart it says ${again}`);
      await payer.stop();
      await events.ended();
      history.push(...(await readLedger("payer", payer, network)));
    } else {
      await life(random.int(3) * MiB);
      await cp(dataDir, backup, { recursive: true, preserveTimestamps: true });
      await life(random.int(3) * MiB);
      if (damage.to === "read-only") {
        const none = await readOnly(dataDir, walled);
        if (none) {
          ending = "refuses";
          problems.push(...refusal(await begin()));
          await none[Symbol.asyncDispose]();
        }
        problems.push(...(await goesOn(await begin())));
        const answer = await pay(market, payer);
        if (answer !== "paid") problems.push(`once it may be written to again it says ${answer}`);
      } else {
        await damage.do({ dataDir, backup, random });
        const started = await begin();
        if (started.status !== undefined) {
          ending = "refuses";
          problems.push(...refusal(started));
          await remedy(started, { dataDir, backup, problems });
          problems.push(...(await goesOn(await begin())));
          if (damage.to === "key") {
            const answer = await pay(market, payer);
            if (answer !== "paid") problems.push(`with its key back it says ${answer}`);
          } else await mustNotPay("on a new database");
        } else {
          const before = signedIn(history).length;
          const answer = await pay(market, payer);
          if (answer === "LEDGER_BEHIND") {
            ending = "signs nothing";
            nothingSigned(before, "although it signs nothing");
            if (damage.to === "copy" && !/gone$|as a whole$/.test(damage.name)) {
              await payer.stop();
              await events.ended();
              const line = await doctorOn(dataDir);
              if (line?.state !== "fail" || !/wallet (adopt|retire)/.test(line.remedy ?? ""))
                problems.push(`doctor says ${JSON.stringify(line)}`);
              // whoever says that it is the newest is not right: the exit knows
              const adopted = await cli(["wallet", "adopt", "--yes", "--data-dir", dataDir]);
              if (adopted.status !== 0) problems.push(`wallet adopt: ${adopted.stderr}`);
              await begin();
              await mustNotPay("once it was adopted");
            }
          } else if (answer !== "paid") problems.push(`it neither pays nor says why: ${answer}`);
          // what was prepaid may have been enough for this once
          else if (signedIn(history).length === before) ending = "signs nothing";
          else if (damage.to === "copy") problems.push("it pays from an older state");
        }
      }
    }
    await payer.stop();
    await events.ended();
    if (ending === "goes on" && damage.to !== "full" && problems.length === 0) history.push(...(await readLedger("payer", payer, network)));
    problems.push(...auditHistory(history).map(({ kind, text }) => `${kind}: ${text}`));
    if (signedIn(history).length === 0) problems.push("nothing was ever signed");
  } finally {
    await payer.stop(3_000);
    for (const directory of [dataDir, backup, `${dataDir}.damaged`]) await rm(directory, { recursive: true, force: true });
  }
  return { ending, problems };
}
