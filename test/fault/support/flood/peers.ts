import { fileURLToPath } from "node:url";
import { type Forked, startForked } from "../../../support/forked.ts";

/** Every answer says how all the peers of that process are. */
export type PeersTask =
  /** `ips`: one for each, or as many on loopback as there are places */
  | { type: "start"; ips: (string | undefined)[]; bootstrap: string[]; isDefended: boolean }
  | { type: "publish"; from: number; bytes: Uint8Array }
  | { type: "look" };
export type PeersAnswer = {
  cpuMs: number;
  peers: {
    peer: string;
    address: string;
    /** the peers whose offers have come by gossip */
    heard: string[];
    banned: { peer: string; atMs: number }[];
    connected: string[];
  }[];
};

export const echoProtocol = "echo/1.0.0";
export const echoQuota = { burst: 1e6, perSecond: 1e6 };

export const startPeers = (): Forked<PeersTask, PeersAnswer> => startForked(fileURLToPath(new URL("./peers-program.ts", import.meta.url)));

/** `keys`: what an attacker does when it is banned: it tries again as who it is, or as somebody else. `ip`: where it is, if not on loopback. */
export type AttackTask =
  | { type: "start"; aims: Aim[]; keys: "same" | "fresh"; ip: string | undefined }
  | { type: "stop" }
  | { type: "end" };
/** messages a second to one victim */
export type Aim = { address: string; perSecond: number };
export type AttackAnswer = {
  /** messages handed to connections that took them */
  sent: number;
  attackers: {
    peer: string;
    /** for each victim that it got through to: from its first message to the end of the connection, ms; absent: it was never hung up on */
    heldMs: (number | undefined)[];
    refused: number;
  }[];
};

export const startAttacker = (): Forked<AttackTask, AttackAnswer> =>
  startForked(fileURLToPath(new URL("./attacker-program.ts", import.meta.url)));
