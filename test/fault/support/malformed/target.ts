import { fileURLToPath } from "node:url";
import type { NetworkConfig } from "../../../../src/lib/network-config.ts";
import { type Forked, startForked } from "../../../support/forked.ts";

/** `plant`: for the control, a place that crashes, hangs or keeps what it is given. */
export type Plant = "crash" | "hang" | "leak";
export type TargetTask =
  | { type: "start"; rpc: string; network: NetworkConfig; plant?: Plant }
  | ({ type: "feed" } & Feeding)
  | { type: "look" };
/** `mostMs`: what an answer may take, or the end of a stream that its other side has ended. */
export type Feeding = { kind: "structured" | "random"; runs: number; seed: string; mostMs: number };
export type TargetAnswer = {
  /** by place */
  tried: Record<string, number>;
  /** what was not done with within the time that it may take, by place */
  hung: string[];
  /** real messages that mutants are made of, by place */
  samples: Record<string, number>;
  /** messages that a validator neither accepted nor refused, but failed at */
  failed: string[];
  /** after a collection of garbage */
  heapMb: number;
  rssMb: number;
  invite: string;
  socket: string;
};

export const startTarget = (): Forked<TargetTask, TargetAnswer> =>
  startForked(fileURLToPath(new URL("./target-program.ts", import.meta.url)), ["--expose-gc"]);
