import { createHash } from "node:crypto";
import type { Host, Link, World } from "./world.ts";

/** Neighbours a message is handed to. */
const meshPeers = 8;
/** a quarter of the rest at each of three heartbeats */
const lazyShare = 0.58;
const lazyMs = 3_000;
const seenMs = 120_000;

const idOf = (topic: string, bytes: Uint8Array) => createHash("sha256").update(topic).update(bytes).digest("base64");

/** How one peer passes on what it has not seen yet. */
export function createSimGossip({ clock, hosts, way }: World, peerId: string, links: ReadonlyMap<string, Link>, isDead: () => boolean) {
  const seen = new Map<string, number>();
  const send = (topic: string, bytes: Uint8Array, but?: string): number => {
    if (isDead()) return 0;
    const to = [...links.keys()].flatMap((peer) => hosts.get(peer) ?? []).filter((other) => other.peer !== but && other.topics.has(topic));
    const shuffled = to
      .map((other) => ({ other, by: Math.random() }))
      .sort((a, b) => a.by - b.by)
      .map(({ other }) => other);
    const hand = (other: Host, lateMs = 0) =>
      void clock
        .sleep(lateMs)
        .then(() => way(bytes.length))
        .then(() => other.hear(topic, bytes, peerId));
    for (const other of shuffled.slice(0, meshPeers)) hand(other);
    // the others are told which messages there are, some of them at each heartbeat while these are kept, and ask for what they lack
    for (const other of shuffled.slice(meshPeers)) if (Math.random() < lazyShare) hand(other, Math.random() * lazyMs);
    return to.length;
  };
  const isNews = (topic: string, bytes: Uint8Array): boolean => {
    const id = idOf(topic, bytes);
    if ((seen.get(id) ?? 0) > clock.nowMs() - seenMs) return false;
    seen.set(id, clock.nowMs());
    if (seen.size > 5_000) for (const [old, atMs] of seen) if (atMs < clock.nowMs() - seenMs) seen.delete(old);
    return true;
  };
  const forget = (topic: string, bytes: Uint8Array) => void seen.delete(idOf(topic, bytes));
  return { send, isNews, forget };
}
