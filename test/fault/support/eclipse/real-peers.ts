import { fileURLToPath } from "node:url";
import type { Hex } from "../../../../src/lib/codec.ts";
import { type Forked, startForked } from "../../../support/forked.ts";
import type { EclipseTried } from "./simulated.ts";

export const country = "DE";

/** A peer with an address of its own. */
export type Place = { key: Uint8Array; ip: string; isExit?: boolean; isConsumer?: boolean };
export const whereOf = ({ ip }: Place): string => `/ip4/${ip}/tcp/4001`;

export type RealTask =
  /** `sybils`: these are among them, and know where all of these are; `honest`: addresses with a bond */
  { type: "start"; places: Place[]; bootstrap: string[]; honest: Hex[]; areBonded: boolean; sybils?: Place[] } | { type: "search" };
export type RealAnswer = EclipseTried;

export const startPeers = (): Forked<RealTask, RealAnswer> => startForked(fileURLToPath(new URL("./real-program.ts", import.meta.url)));
