import type { Hex } from "../../lib/codec.ts";
import { asMystError } from "../../lib/errors.ts";
import type { Op } from "../../lib/store.ts";
import { readRecord } from "../records.ts";
import type { HeadBookDeps, HeadBookOptions } from "./book.ts";
import { type ChannelHeads, noHeads, type SignerHeads } from "./evidence.ts";
import { channelHeadsRecord, headOf, signerHeadsRecord } from "./records.ts";

/** One signer as it is held: its heads, when each channel last told of something new, and since when it is known to lie. */
export type HeldSigner = { heads: SignerHeads; heard: Map<Hex, number>; sinceMs: number | undefined };

const defaultMaxChannels = 65_536;
/** what is dropped when there are too many, so that it is not done for each */
const roomPart = 20;
const [signerKey, channelKey] = ["signer/", "channel/"];

/**
 * Where heads are kept. When there are too many, signers go that owe nothing here and are not known to lie, drawn by lot with a chance in
 * proportion to their channels: whoever makes many loses his own, and nobody can choose whose. What is missing can only hide a lie.
 */
export async function createShelf({ store, log, owes }: HeadBookDeps, options: HeadBookOptions) {
  const { maxChannels = defaultMaxChannels, random = Math.random } = options;
  const table = store.table("heads");
  const signers = new Map<Hex, HeldSigner>();
  const dirty = new Map<Hex, Set<Hex>>();
  let channels = 0;

  const opsOf = (signer: Hex): Op[] => {
    const changed = dirty.get(signer) ?? [];
    dirty.delete(signer);
    const held = signers.get(signer);
    const ops = [...changed].map((channel) => {
      const key = `${channelKey}${signer}/${channel}`;
      const heads = held?.heads.channels.get(channel);
      return heads
        ? table.put(key, channelHeadsRecord.encode({ ...heads, heardMs: held?.heard.get(channel) ?? 0 } as never))
        : table.del(key);
    });
    const key = `${signerKey}${signer}`;
    return [...ops, held ? table.put(key, signerHeadsRecord.encode({ ...held.heads, sinceMs: held.sinceMs })) : table.del(key)];
  };
  const touch = (signer: Hex, channel: Hex) => dirty.set(signer, (dirty.get(signer) ?? new Set()).add(channel));
  const drop = (signer: Hex, { heads }: HeldSigner) => {
    for (const channel of heads.channels.keys()) touch(signer, channel);
    signers.delete(signer);
    channels -= heads.channels.size;
  };
  const makeRoom = () => {
    const free = [...signers].filter(([signer, { heads }]) => !heads.evidence && !owes(signer));
    let left = free.reduce((sum, [, { heads }]) => sum + heads.channels.size, 0);
    const most = maxChannels - Math.floor(maxChannels / roomPart);
    while (channels > most && left > 0) {
      const [[signer, held] = []] = free.splice(drawn(free, Math.floor(random() * left)), 1);
      if (!signer || !held) return;
      left -= held.heads.channels.size;
      drop(signer, held);
    }
  };

  for await (const [key, bytes] of table.entries(channelKey)) {
    const [signer, channel] = key.slice(channelKey.length).split("/") as [Hex, Hex];
    try {
      const { heardMs, ...heads } = readRecord(channelHeadsRecord, bytes);
      const held = signers.get(signer) ?? { heads: { ...noHeads, channels: new Map() }, heard: new Map(), sinceMs: undefined };
      (held.heads.channels as Map<Hex, ChannelHeads>).set(channel, heads as ChannelHeads);
      if (heardMs > 0) held.heard.set(channel, heardMs);
      signers.set(signer, held);
      channels += 1;
    } catch (error) {
      log.warn("a stored head cannot be read; it will be heard again", { code: asMystError(error).code });
    }
  }
  for await (const [key, bytes] of table.entries(signerKey)) {
    const signer = key.slice(signerKey.length) as Hex;
    const { newest, total, crowded, evidence, sinceMs } = readRecord(signerHeadsRecord, bytes);
    const { heads, heard } = signers.get(signer) ?? { heads: noHeads, heard: new Map() };
    signers.set(signer, {
      heard,
      sinceMs,
      heads: {
        channels: heads.channels,
        newest: newest && headOf(newest),
        total,
        sum: [...heads.channels.values()].reduce((sum, { seen, cleared }) => sum + largest(seen?.cumulative, cleared?.cumulative), 0n),
        crowded,
        evidence: evidence?.map(headOf).filter((head) => head !== undefined),
      },
    });
  }

  return {
    get: (signer: Hex) => signers.get(signer),
    all: () => signers.entries(),
    /** @param channel of it, which has changed; undefined: any may have */
    put: (signer: Hex, held: HeldSigner, channel: Hex | undefined) => {
      const before = signers.get(signer);
      signers.set(signer, held);
      channels += held.heads.channels.size - (before?.heads.channels.size ?? 0);
      if (channel) touch(signer, channel);
      else for (const each of [...(before?.heads.channels.keys() ?? []), ...held.heads.channels.keys()]) touch(signer, each);
      if (channels > maxChannels) makeRoom();
    },
    /** What has changed of a signer since the last time. */
    opsOf,
    save: async () => {
      const ops = [...dirty.keys()].flatMap(opsOf);
      if (ops.length > 0) await store.writeLazily(ops);
    },
  };
}

const largest = (a = 0n, b = 0n): bigint => (a > b ? a : b);

/** Which of them has the channel that comes at this place. */
function drawn(signers: [Hex, HeldSigner][], place: number): number {
  let first = 0;
  return signers.findIndex(([, { heads }]) => {
    first += heads.channels.size;
    return place < first;
  });
}
