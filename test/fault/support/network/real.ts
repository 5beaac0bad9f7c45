import { setTimeout as wait } from "node:timers/promises";
import { systemClock } from "../../../../src/lib/clock.ts";
import { startTrader } from "../../../net/discovery/market.ts";
import { ownTmpdir } from "../../../support/own-tmpdir.ts";
import { type Group, startGroup } from "./group.ts";
import { type Churn, findLiving, type Tried } from "./simulated.ts";

/** peers of one process */
const perGroup = 5;
const tryMs = 20_000;

/**
 * The same with real peers in processes of their own, `perGroup` in each: a group is killed and replaced at a time. The one with the bootstrap peers stays.
 * @param ready called once all are up
 */
export async function runRealChurn(
  options: Churn,
  signal: AbortSignal,
  log: (line: string) => void,
  ready: () => void = () => undefined,
): Promise<Tried[]> {
  await using _ = ownTmpdir("churn");
  const groups: Group[] = [];
  try {
    const countryOf = (index: number) => options.countries[index % options.countries.length] as string;
    const boot = await startGroup({ countries: [undefined, undefined, undefined], bootstrap: [] });
    groups.push(boot);
    const bootstrap = boot.peers.map(({ invite }) => invite);
    const add = async (first: number) => {
      const countries = Array.from({ length: perGroup }, (_, at) => (first + at < options.exits ? countryOf(first + at) : undefined));
      const group = await startGroup({ countries, bootstrap });
      groups.push(group);
      return group;
    };
    for (let first = 0; first + 3 < options.peers && !signal.aborted; first += perGroup) {
      await add(first);
      log(`${groups.reduce((sum, { peers }) => sum + peers.length, 0)} of ${options.peers} real peers`);
    }
    await wait(Math.min(30_000, options.withinMs / 5));
    ready();
    const replaced = Math.max(1, Math.round((options.share * options.peers) / perGroup));
    const pauseMs = options.withinMs / options.tries;
    const found: Tried[] = [];
    let done = 0;
    let replacing: Promise<unknown> = Promise.resolve();
    for (let at = 0; at < options.tries && !signal.aborted; at++) {
      if (done < replaced && at >= (done * options.tries) / replaced) {
        const [victim] = groups.splice(1, 1);
        const first = done * perGroup;
        done += 1;
        await victim?.kill();
        replacing = replacing.then(() => add(first));
        log(
          `${found.length} of ${options.tries} tries by ${options.sources.join(", ")}; ${perGroup} peers killed, and others in their place`,
        );
      }
      const beganMs = performance.now();
      await using consumer = await startTrader({
        listen: [],
        bootstrap: bootstrap.toSorted(() => Math.random() - 0.5).slice(0, 2),
        sources: options.sources,
      });
      const fromMs = performance.now();
      const country = countryOf(Math.floor(Math.random() * options.countries.length));
      const living = await findLiving(consumer, country, systemClock, AbortSignal.timeout(tryMs));
      found.push(living ? { ms: performance.now() - fromMs } : {});
      await wait(Math.max(0, pauseMs - (performance.now() - beganMs)));
    }
    await replacing;
    return found;
  } finally {
    await Promise.all(groups.map((group) => group.kill()));
  }
}
