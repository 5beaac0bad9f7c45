import { createHash } from "node:crypto";
import type { Host, Link, World } from "./world.ts";

/** Neighbours a message is handed to. */
const meshPeers = 8;
/** a quarter of the rest at each of three heartbeats */
const lazyShare = 0.58;
const heartbeats = 3;
const heartbeatMs = 1_000;
const seenMs = 120_000;
/** of a message's frame, with its topic's name; and of one that only names it */
const frameBytes = 40;
const idBytes = 72;

/** The same bytes go from peer to peer, so that one hash is enough for all. */
const ids = new WeakMap<Uint8Array, string>();
function idOf(topic: string, bytes: Uint8Array): string {
  const known = ids.get(bytes) ?? `${topic} ${createHash("sha256").update(bytes).digest("base64")}`;
  ids.set(bytes, known);
  return known;
}
const shuffle = <T>(items: T[]): T[] => {
  for (let at = items.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [items[at], items[other]] = [items[other] as T, items[at] as T];
  }
  return items;
};

type Told = { other: Host; topic: string; bytes: Uint8Array; id: string };

/** How one peer passes on what it has not seen yet. */
export function createSimGossip(
  { clock, hosts, count, way }: World,
  peerId: string,
  links: ReadonlyMap<string, Link>,
  isDead: () => boolean,
) {
  const seen = new Map<string, number>();
  const lacks = (id: string): boolean => (seen.get(id) ?? 0) <= clock.nowMs() - seenMs;
  const hand = async ({ other, topic, bytes }: Told) => {
    await way("gossip", bytes.length + frameBytes);
    other.hear(topic, bytes, peerId);
  };
  const tell = async (told: Told) => {
    await way("ids", idBytes);
    if (!told.other.lacks(told.topic, told.id)) return;
    await way("ids", idBytes);
    await hand(told);
  };
  /** what is named at each of the next heartbeats */
  const due: Told[][] = [];
  let beating = false;
  const beat = async () => {
    beating = true;
    for (await clock.sleep(Math.random() * heartbeatMs); due.length > 0 && !isDead(); await clock.sleep(heartbeatMs))
      // nearly all have it by then, and theirs need not be played
      for (const told of due.shift() ?? [])
        if (told.other.lacks(told.topic, told.id)) void tell(told);
        else count("ids", idBytes);
    beating = false;
  };
  const later = (told: Told) => {
    const at = Math.floor(Math.random() * heartbeats);
    while (due.length <= at) due.push([]);
    due[at]?.push(told);
    if (!beating) void beat();
  };
  const send = (topic: string, bytes: Uint8Array, but?: string): number => {
    if (isDead()) return 0;
    const to: Host[] = [];
    for (const peer of links.keys()) {
      const other = hosts.get(peer);
      if (other && peer !== but && other.topics.has(topic)) to.push(other);
    }
    const id = idOf(topic, bytes);
    for (const [at, other] of shuffle(to).entries())
      if (at < meshPeers) void hand({ other, topic, bytes, id });
      // the others are told which messages there are, some of them at each heartbeat while these are kept, and ask for what they lack
      else if (Math.random() < lazyShare) later({ other, topic, bytes, id });
    return to.length;
  };
  const isNews = (topic: string, bytes: Uint8Array): boolean => {
    const id = idOf(topic, bytes);
    if (!lacks(id)) return false;
    seen.set(id, clock.nowMs());
    if (seen.size > 5_000) for (const [old, atMs] of seen) if (atMs < clock.nowMs() - seenMs) seen.delete(old);
    return true;
  };
  const forget = (topic: string, bytes: Uint8Array) => void seen.delete(idOf(topic, bytes));
  return { send, isNews, forget, lacks };
}
