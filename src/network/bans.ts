import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec } from "../lib/codec.ts";
import type { Op, Store } from "../lib/store.ts";
import { lineOf } from "./diversity.ts";
import { createQuota } from "./quota.ts";

/** Peers, and hosts, that nobody here talks to for a while. Bans survive a restart, so that nobody gets out of one by waiting for it. */
export type Bans = {
  denied(peer: string): boolean;
  /** Have several peers been banned that came from this address's host? */
  deniedHost(address: string): boolean;
  /** For a while, and in memory only: it has done nothing wrong, but is of no use. */
  deny(peer: string, forMs: number): void;
  /** For an hour, and twice as long each time it happens again. `addresses`: where it was connected from. */
  ban(peer: string, addresses: string[]): void;
  /** Writes what has changed. */
  save(): Promise<void>;
};

type Ban = { untilMs: number; times: number };

const banMs = 3_600_000;
const maxBanMs = 24 * 3_600_000;
/** so long after its end a ban counts when it happens again */
const rememberedMs = 7 * 24 * 3_600_000;
/** A peer id costs nothing, a line does: after so many banned peers within the hour their line is denied too. */
const perHost = { burst: 2, perSecond: 2 / 3_600 };
const hostMs = 600_000;
const maxBans = 4096;
const codec = cborCodec(z.strictObject({ untilMs: z.number().int(), times: z.number().int().min(1) }), 100);

/** Reads the table `ban`. When there are too many, those go that are over, then those that end soonest. */
export async function openBans(store: Pick<Store, "table" | "writeLazily">, clock: Pick<Clock, "nowMs">): Promise<Bans> {
  const table = store.table("ban");
  const bans = new Map<string, Ban>();
  const changed = new Set<string>();
  const denials = new Map<string, number>();
  const hosts = new Map<string, number>();
  const hostStrikes = createQuota(clock, perHost);
  for await (const [peer, bytes] of table.entries()) {
    try {
      bans.set(peer, codec.decode(Uint8Array.from(bytes)));
    } catch {
      changed.add(peer);
    }
  }
  const isDue = (map: Map<string, number>, key: string): boolean => {
    const untilMs = map.get(key);
    if (untilMs === undefined) return false;
    if (clock.nowMs() < untilMs) return true;
    map.delete(key);
    return false;
  };
  const bound = <V>(map: Map<string, V>, untilOf: (value: V) => number, dropped: (key: string) => void) => {
    if (map.size <= maxBans) return;
    const soonest = [...map].reduce((a, b) => (untilOf(b[1]) < untilOf(a[1]) ? b : a));
    map.delete(soonest[0]);
    dropped(soonest[0]);
  };
  return {
    denied: (peer) => (bans.get(peer)?.untilMs ?? 0) > clock.nowMs() || isDue(denials, peer),
    deniedHost: (address) => {
      const host = lineOf(address);
      return host !== undefined && isDue(hosts, host);
    },
    deny: (peer, forMs) => {
      denials.set(peer, clock.nowMs() + forMs);
      bound(
        denials,
        (untilMs) => untilMs,
        () => undefined,
      );
    },
    ban: (peer, addresses) => {
      const nowMs = clock.nowMs();
      const before = bans.get(peer);
      const times = (before && nowMs - before.untilMs < rememberedMs ? before.times : 0) + 1;
      bans.set(peer, { untilMs: nowMs + Math.min(banMs * 2 ** (times - 1), maxBanMs), times });
      changed.add(peer);
      bound(
        bans,
        ({ untilMs }) => untilMs,
        (dropped) => changed.add(dropped),
      );
      for (const host of new Set(addresses.flatMap((address) => lineOf(address) ?? [])))
        if (!hostStrikes.take(host)) {
          hosts.set(host, nowMs + hostMs);
          bound(
            hosts,
            (untilMs) => untilMs,
            () => undefined,
          );
        }
    },
    save: async () => {
      const nowMs = clock.nowMs();
      for (const [peer, { untilMs }] of bans)
        if (nowMs - untilMs > rememberedMs) {
          bans.delete(peer);
          changed.add(peer);
        }
      const ops: Op[] = [...changed].map((peer) => {
        const ban = bans.get(peer);
        return ban ? table.put(peer, codec.encode(ban)) : table.del(peer);
      });
      changed.clear();
      if (ops.length > 0) await store.writeLazily(ops);
    },
  };
}
