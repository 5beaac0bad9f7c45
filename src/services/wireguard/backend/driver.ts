import type { PeerStats, WgKey } from "../types.ts";
import { runTool } from "./run-tool.ts";
import { checkAnswer, type DeviceKeys, deviceRequest, getRequest, type PeerChange, parseGet, peersRequest } from "./uapi.ts";
import { connectUapi, uapiPath } from "./uapi-socket.ts";
import { deviceConfig, parseDump, peersConfig } from "./wg-config.ts";

/** One way to configure a device that is there: by its socket, or by `wg`. */
export type Driver = {
  /** The device's own keys and port; its peers go. */
  configure(keys: DeviceKeys): Promise<void>;
  apply(changes: PeerChange[]): Promise<void>;
  read(): Promise<{ listenPort: number; peers: Map<WgKey, PeerStats> }>;
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

/** By `wg`, the only way to the kernel's module; keys go to it through a pipe. */
export function wgDriver(ifname: string): Driver {
  const wg = (args: string[], input?: string) => runTool("wg", args, input === undefined ? {} : { input, byName: true });
  return {
    configure: async (keys) => {
      await wg(["setconf", ifname, "/dev/stdin"], deviceConfig(keys));
    },
    apply: async (changes) => {
      const kept = changes.filter((change) => change.do !== "remove");
      if (kept.length > 0) await wg(["addconf", ifname, "/dev/stdin"], peersConfig(kept));
      // configuration files cannot remove a peer; what becomes an argument here has been checked to be 32 bytes in base64
      const removed = changes.flatMap((change) => (change.do === "remove" ? ["peer", change.key, "remove"] : []));
      if (removed.length > 0) await wg(["set", ifname, ...removed]);
    },
    read: async () => parseDump(await wg(["show", ifname, "dump"])),
    close: () => undefined,
  };
}
