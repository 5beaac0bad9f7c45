import { randomBytes } from "node:crypto";
import { setPriority } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { RPC } from "@chainsafe/libp2p-gossipsub/message";
import type { Connection, Stream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import type { Libp2p } from "libp2p";
import { encodeOffer } from "../../../../src/discovery/offer.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { content, networkConfig } from "../../../net/discovery/market.ts";
import { answerParent } from "../../../support/forked.ts";
import { offerOf, signedBy } from "../../../unit/discovery/offers.ts";
import { dialFrom } from "../own-addresses.ts";
import { startStranger } from "../stranger.ts";
import type { Aim, AttackAnswer, AttackTask } from "./peers.ts";

const prefix = "/mystnode/test";
const gossip = "/meshsub/1.1.0";
const turnMs = 10;
const retryMs = 200;
const mostAtOnce = 200;

const owner = createIdentity(randomBytes(32));
const offer = () => {
  const nowMs = Date.now();
  const change = { ...content("US"), addresses: [], seq: BigInt(nowMs), expiresMs: nowMs + 600_000 };
  return signedBy(owner, { ...offerOf(owner), ...change }, networkConfig);
};
const template = offer();

/** No two alike, or all but the first would be dropped unread. Half of them cost a look at a signature. */
const kinds: (() => { topic: string; data: Uint8Array })[] = [
  () => ({ topic: "offers", data: randomBytes(400) }),
  () => ({ topic: "offers", data: encodeOffer({ body: template.body, signature: Uint8Array.from(randomBytes(64)) }) }),
  () => ({ topic: "offers", data: encodeOffer({ body: template.body, signature: Uint8Array.from(randomBytes(64)) }) }),
  () => ({ topic: "wanted", data: randomBytes(9) }),
];

/** With its length before it, as the wire has it. */
function packet(count: number): Uint8Array {
  const messages = Array.from({ length: count }, (_, index) => {
    const { topic, data } = (kinds[index % kinds.length] as (typeof kinds)[0])();
    return { topic: `${prefix}/${topic}`, data: Uint8Array.from(data) };
  });
  const body = RPC.encode({ subscriptions: [], messages });
  const length: number[] = [];
  for (let left = body.length; ; left >>>= 7) {
    if (left < 128) {
      length.push(left);
      break;
    }
    length.push((left & 127) | 128);
  }
  return Uint8Array.from([...length, ...body]);
}

const attackers: AttackAnswer["attackers"] = [];
let sent = 0;
let stopping = false;
let over = false;
/** the machine is theirs and ours: they shall not be what makes an answer late */
setPriority(10);

/** One that floods one victim, over and over, until it is told to stop: then no more once it has been hung up on. */
async function flood({ address, perSecond }: Aim, shared?: Libp2p): Promise<void> {
  let host = shared ?? (await startStranger(prefix, gossip));
  const record = () => {
    const made: AttackAnswer["attackers"][0] = { peer: host.peerId.toString(), heldMs: [], refused: 0 };
    attackers.push(made);
    return made;
  };
  let self = record();
  while (!stopping) {
    const connection = await host.dial(multiaddr(address), { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    if (connection && (await pour(connection, perSecond, self.heldMs))) continue;
    self.refused += 1;
    await wait(retryMs);
    if (shared || self.heldMs.length === 0) continue;
    await host.stop();
    host = await startStranger(prefix, gossip);
    self = record();
  }
  if (!shared) await host.stop();
}

/** Sends until the connection ends, by as many streams as that takes. False: there was none that it could send on. */
async function pour(connection: Connection, perSecond: number, heldMs: (number | undefined)[]): Promise<boolean> {
  let place: number | undefined;
  let beganMs = 0;
  while (!over && connection.status === "open") {
    const stream = await connection.newStream(gossip, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    if (!stream) {
      await wait(turnMs);
      continue;
    }
    if (place === undefined) {
      place = heldMs.push(undefined) - 1;
      beganMs = performance.now();
    }
    await send(stream, perSecond);
  }
  if (place !== undefined && connection.status !== "open") heldMs[place] = performance.now() - beganMs;
  return place !== undefined;
}

/** At that rate, as long as the stream takes it. */
async function send(stream: Stream, perSecond: number): Promise<void> {
  let due = 0;
  let lastMs = performance.now();
  while (!over && stream.status === "open") {
    const nowMs = performance.now();
    due = Math.min(due + ((nowMs - lastMs) * perSecond) / 1000, perSecond);
    lastMs = nowMs;
    const count = Math.min(mostAtOnce, Math.floor(due));
    try {
      if (count > 0 && !stream.send(packet(count))) await stream.onDrain({ signal: AbortSignal.timeout(500) }).catch(() => undefined);
    } catch {
      return;
    }
    due -= count;
    sent += count;
    await wait(turnMs);
  }
}

answerParent<AttackTask, AttackAnswer>(async (task) => {
  if (task.type === "stop") stopping = true;
  if (task.type === "end") over = true;
  if (task.type === "start") {
    if (task.ip !== undefined) dialFrom([task.ip]);
    const shared = task.keys === "same" ? await startStranger(prefix, gossip) : undefined;
    for (const aim of task.aims) void flood(aim, shared);
  }
  return { sent, attackers };
});
