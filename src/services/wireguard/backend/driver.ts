import { readFileSync } from "node:fs";
import type { PeerStats, WgKey } from "../types.ts";
import { runTool } from "./run-tool.ts";
import { batched, shared } from "./sharing.ts";
import { checkAnswer, type DeviceKeys, deviceRequest, getRequest, type PeerChange, parseGet, peersRequest } from "./uapi.ts";
import { connectUapi, uapiPath } from "./uapi-socket.ts";
import { deviceConfig, parseDump, peersConfig } from "./wg-config.ts";

type Reading = { listenPort: number; peers: Map<WgKey, PeerStats> };

/** One way to configure a device that is there: by its socket, or by `wg`. */
export type Driver = {
  /** The device's own keys and port; its peers go. */
  configure(keys: DeviceKeys): Promise<void>;
  apply(changes: PeerChange[]): Promise<void>;
  /** `quick`: where that takes a process, what was found since the last packet went through the interface will do, for a second */
  read(quick?: boolean): Promise<Reading>;
  close(): void;
};

/** Straight over the device's socket: 0.25 ms for a change, and no process. */
export async function uapiDriver(ifname: string): Promise<Driver> {
  const socket = await connectUapi(uapiPath(ifname));
  return {
    configure: async (keys) => checkAnswer(await socket.ask(deviceRequest(keys))),
    apply: async (changes) => checkAnswer(await socket.ask(peersRequest(changes))),
    read: async () => parseGet(await socket.ask(getRequest)),
    close: () => socket.close(),
  };
}

/** as many as a command line and a pipe take with ease */
const togetherMax = 200;
const quickMs = 1000;

/**
 * By `wg`, the only way to the kernel's module; keys go to it through a pipe. Each run is a process, so changes and questions that come at once
 * share one.
 */
export function wgDriver(ifname: string, run: typeof runTool = runTool): Driver {
  const wg = (args: string[], input?: string) => run("wg", args, input === undefined ? {} : { input, byName: true });
  const apply = async (changes: PeerChange[]) => {
    const kept = changes.filter((change) => change.do !== "remove");
    if (kept.length > 0) await wg(["addconf", ifname, "/dev/stdin"], peersConfig(kept));
    // configuration files cannot remove a peer; what becomes an argument here has been checked to be 32 bytes in base64
    const removed = changes.flatMap((change) => (change.do === "remove" ? ["peer", change.key, "remove"] : []));
    if (removed.length > 0) await wg(["set", ifname, ...removed]);
  };
  const read = shared(async () => parseDump(await wg(["show", ifname, "dump"])));
  // one change for each peer: what is removed goes last, whenever it was asked for
  const applied = batched(apply, (batch, change) => batch.length < togetherMax && !batch.some((other) => keyOf(other) === keyOf(change)));
  /** a peer that is taken out and comes back begins anew: what was read before says nothing of it */
  let changed = 0;
  let last: { moved: string | undefined; atMs: number; reading: Reading } | undefined;
  return {
    configure: async (keys) => {
      await wg(["setconf", ifname, "/dev/stdin"], deviceConfig(keys));
    },
    apply: (changes) => {
      last = undefined;
      changed += 1;
      return applied(changes);
    },
    read: async (quick = false) => {
      const moved = interfaceCounters(ifname);
      const { atMs } = last ?? { atMs: 0 };
      if (quick && last && moved !== undefined && moved === last.moved && performance.now() - atMs < quickMs) return last.reading;
      const before = changed;
      const reading = await read();
      if (changed === before) last = { moved, atMs: performance.now(), reading };
      return reading;
    },
    close: () => undefined,
  };
}

/** What the kernel has counted at an interface of our network namespace, as it prints it; undefined where it is not in it. */
const interfaceCounters = (ifname: string): string | undefined =>
  readFileSync("/proc/self/net/dev", "utf8")
    .split("\n")
    .find((line) => line.trimStart().startsWith(`${ifname}:`));

const keyOf = (change: PeerChange): WgKey => (change.do === "add" ? change.peer.publicKey : change.key);
