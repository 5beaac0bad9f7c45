import type { Clock } from "../lib/clock.ts";

/** An exit that has not answered by then is no reason to wait: the next one is dialled beside it. */
const headStartMs = 250;

/** `error`: why it could not be reached. */
export type Dialled<Exit> = { exit: Exit; error?: unknown };

/**
 * The same exits, those that answer first: each is dialled once the one before has had its head start, or has failed, and no further one
 * while one that has answered is being tried. Whom nobody could reach comes last.
 */
export async function* inReach<Exit>(
  exits: Exit[],
  dial: (exit: Exit) => Promise<void>,
  clock: Pick<Clock, "sleep">,
  signal: AbortSignal,
): AsyncGenerator<Dialled<Exit>> {
  const waiting = [...exits];
  const dialling = new Set<Promise<void>>();
  const reached: Dialled<Exit>[] = [];
  const unreached: Dialled<Exit>[] = [];
  const begin = (exit: Exit) => {
    const work = dial(exit)
      .then(
        () => void reached.push({ exit }),
        (error) => void unreached.push({ exit, error }),
      )
      .finally(() => dialling.delete(work));
    dialling.add(work);
  };
  while (waiting.length + dialling.size > 0) {
    const next = waiting.shift();
    if (next !== undefined) begin(next);
    const late = next === undefined ? [] : [clock.sleep(headStartMs, signal).catch(() => undefined)];
    await Promise.race([...dialling, ...late]);
    for (let one = reached.shift(); one; one = reached.shift()) yield one;
    if (signal.aborted) {
      await Promise.all(dialling);
      break;
    }
  }
  yield* unreached;
}
