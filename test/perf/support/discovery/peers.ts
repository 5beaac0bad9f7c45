import { fileURLToPath } from "node:url";
import { type Forked, startForked } from "../../../support/forked.ts";

export type PeersTask =
  /** `directory`: for a peer that was there before */
  | { type: "start"; countries: (string | undefined)[]; bootstrap: string[]; directory?: string }
  | { type: "announce"; index: number; country: string; perGiB: bigint }
  | { type: "look" };
/** of that process: since it began, and each of its peers */
export type PeersAnswer = {
  /** when what was asked for was begun, ms since the epoch */
  atMs: number;
  cpuMs: number;
  bytes: number;
  peers: { peer: string; invite: string; exits: number }[];
};

export const startPeers = (): Forked<PeersTask, PeersAnswer> => startForked(fileURLToPath(new URL("./peers-program.ts", import.meta.url)));
