import { createIdentity, type Identity } from "../../../../src/identity/identity.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { PromiseData } from "../../../../src/payments/eip712.ts";
import type { Conflict } from "../../../../src/payments/heads/book.ts";
import { encodeHead, shardOf, shardTopic } from "../../../../src/payments/heads/head.ts";
import { type Heads, openHeads } from "../../../../src/payments/heads/heads.ts";
import { channelId, newSalt, signPromise } from "../../../../src/payments/promise.ts";
import { openProviderLedger, type ProviderLedger } from "../../../../src/payments/provider-ledger.ts";
import { findSignersInline } from "../../../../src/payments/signers.ts";
import { gossipBus } from "../../../support/gossip-bus.ts";
import { until } from "../../../support/until.ts";
import { domain, memoryStore, payer } from "../fixtures.ts";

export const other = createIdentity(new Uint8Array(32).fill(8));
export const stranger = createIdentity(new Uint8Array(32).fill(9));
export const shard = shardTopic(shardOf(payer.address));
export const channels = Array.from({ length: 400 }, () => channelId(stranger.address, newSalt()));
export const seqNow = () => BigInt(Date.now()) << 20n;
export const head = (by: Identity, index: number, content: Partial<PromiseData> = {}, where = domain) => ({
  signer: by.address,
  promise: signPromise(where, by, {
    channel: channels[index] as Hex,
    cumulative: 100n,
    total: 1_000n,
    seq: seqNow() + BigInt(index),
    ...content,
  }),
});
export const bytesOf = (...args: Parameters<typeof head>) => encodeHead(head(...args));

export const minimal = (value: bigint) => Buffer.from(value.toString(16).replace(/^(.(..)*)$/, "0$1"), "hex");
/** The fields of a promise as they go into CBOR. */
export const wire = ({ channel, cumulative, total, seq }: PromiseData) => ({
  ...{ channel: Buffer.from(channel.slice(2), "hex"), cumulative: minimal(cumulative), total: minimal(total), seq: minimal(seq) },
});

export type Bus = ReturnType<typeof gossipBus>;
export type Peer = {
  heads: Heads;
  conflicts: Conflict[];
  ledger: ProviderLedger;
  store: ReturnType<typeof memoryStore>;
  looks: () => number;
};

/** A peer that listens to heads. `knows`: who has deposited, by the contract's events; `finds`: who it finds when it looks again. */
export async function peer(
  bus: Bus,
  name: string,
  { knows = [payer.address], finds = [], store = memoryStore() }: { knows?: Hex[]; finds?: Hex[]; store?: Peer["store"] } = {},
): Promise<Peer> {
  const clock = systemClock;
  const self = createIdentity(Buffer.alloc(32, name)).address;
  const ledger = await openProviderLedger({ store, self, clock }, domain);
  const conflicts: Conflict[] = [];
  let looks = 0;
  const learn = async (signers: Hex[]) =>
    store.write(
      await heads.takeEvents({
        ...{ undoneAbove: undefined, cleared: [] },
        accounts: signers.map((signer) => ({ type: "deposited", signer, block: 1, bond: 800_000n })),
      }),
    );
  const heads: Heads = await openHeads({
    ...{ network: bus.network(name), ledger, findSigners: findSignersInline(domain), clock, log: silentLogger, exits: () => 3 },
    store: { ...store, writeLazily: store.write },
    random: () => 0.1,
    look: async () => {
      looks += 1;
      await learn(finds);
    },
    onConflict: (conflict) => conflicts.push(conflict),
  });
  await learn(knows);
  return { heads, conflicts, ledger, store, looks: () => looks };
}

/** a - b - c: what c hears from a, b has passed on; and `talker`, a peer that says anything to a */
export async function chain(options: Parameters<typeof peer>[2] = {}) {
  const bus = gossipBus();
  const peers = { a: await peer(bus, "a", options), b: await peer(bus, "b"), c: await peer(bus, "c") };
  bus.link("a", "b");
  bus.link("b", "c");
  bus.link("talker", "a");
  const talker = bus.network("talker");
  const verdict = async (bytes: Uint8Array, topic = shard) => {
    const before = bus.told.length;
    await talker.publish(topic, bytes);
    await until(() => bus.told.slice(before).some(({ to, from }) => to === "a" && from === "talker"));
    return bus.told.slice(before).find(({ to, from }) => to === "a" && from === "talker")?.validity;
  };
  return {
    ...{ bus, peers, talker, verdict },
    [Symbol.asyncDispose]: async () => {
      for (const { heads } of Object.values(peers)) await heads.stop();
    },
  };
}

export const sightOf = ({ heads }: Peer, index = 399, seq = seqNow() + (1n << 40n)) =>
  heads.watch.sight({ signer: payer.address, channel: channels[index] as Hex }, head(payer, index, { seq }).promise);
