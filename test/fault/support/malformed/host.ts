import { createNetwork as create } from "../../../../src/network/host.ts";
import { recorded } from "./recording.ts";

let isTarget = true;

/** Stands for src/network/host.ts where a node joins its network: the same, with what comes in and goes out kept. */
export async function createNetwork(...args: Parameters<typeof create>): ReturnType<typeof create> {
  const first = isTarget;
  isTarget = false;
  return recorded(await create(...args), first);
}
