import { setTimeout as wait } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** what is outside of the heap goes a moment after what held it */
const sweepMs = 100;

/** Bytes that this process cannot do without now. */
export async function heapInUse(): Promise<number> {
  collect();
  await wait(sweepMs);
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
