import { setTimeout as wait } from "node:timers/promises";
import type { BackendKind, ClientCounters, WgDevice, WgKey } from "../types.ts";
import { type Account, bytesOf, counted, newAccount, restarted } from "./account.ts";
import { createPace } from "./pace.ts";
import { type SocketDrops, socketDrops } from "./socket-drops.ts";

/** What a client's tunnels have carried, all that there were, and what this machine has thrown away of it. `isCurrent`: is this the tunnel of now? */
export function createClientCounters(kind: BackendKind, isCurrent: (device: WgDevice) => boolean, tell: (total: ClientCounters) => void) {
  let account: Account = newAccount;
  let dropped = 0n;
  let drops: SocketDrops = { more: () => 0n };

  const read = async (from: WgDevice, key: WgKey, quick = false) => {
    const now = (await from.stats(quick)).get(key);
    if (!now || !isCurrent(from)) return;
    const before = account.total;
    account = counted(account, now);
    const { total } = account;
    if (total.rxBytes === before.rxBytes && total.txBytes === before.txBytes && total.handshakeMs === before.handshakeMs) return;
    dropped += drops.more();
    tell({ ...total, droppedBytes: dropped });
  };
  return {
    read,
    /** unix ms of the last handshake */
    handshakeMs: () => account.total.handshakeMs,
    /** Another tunnel begins, whose own counters do. */
    begin: ({ listenPort }: WgDevice, mtu: number) => {
      account = restarted(account);
      drops = socketDrops(listenPort, mtu);
    },
    /** The tunnel's peer was taken out and comes anew. */
    again: () => {
      account = restarted(account);
    },
    keepReading: async (from: WgDevice, key: WgKey) => {
      const nextLookMs = createPace(kind);
      while (isCurrent(from)) {
        const before = bytesOf(account);
        await read(from, key, true).catch(() => undefined);
        await wait(nextLookMs(bytesOf(account) - before, performance.now()));
      }
    },
  };
}
