import { createHash } from "node:crypto";
import { once } from "node:events";
import type { PeerId } from "@libp2p/interface";
import { type KadDHT, kadDHT, passthroughMapper } from "@libp2p/kad-dht";
import { CID } from "multiformats/cid";
import { create as createDigest } from "multiformats/hashes/digest";
import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { providerValidMs } from "./datastore.ts";
import { type Contact, roomInTable } from "./diversity.ts";
import type { Network } from "./network.ts";

type DhtCalls = Pick<Network, "provide" | "findProviders">;
type Deps = {
  dht: KadDHT;
  onConnect: Network["onConnect"];
  log: Logger;
  clock: Clock;
};

/** A lookup on a table without live peers never ends by itself. */
const provideMs = 20_000;
const findMs = 15_000;
/** Renewed well within the validity of a record; where few hold it, soon after a peer has come that is to: it may be the one that lost it. */
const renewMs = providerValidMs / 3;
const renewSoonestMs = 30_000;
const retryMs = 1000;
/** what could not be placed may be so because all are busy: placing again must not keep them so */
const maxRetryMs = 5 * 60_000;
/** Peers that a record is placed with: kad-dht's own number; and as many as are enough for it to outlive some of them. */
const replicas = 20;
const enough = replicas / 2;
const tagMs = 5 * 60_000;

const sha256Code = 0x12;
const rawCode = 0x55;
const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
const cidOf = (key: Uint8Array): CID => CID.createV1(rawCode, createDigest(sha256Code, sha256(key)));

/** The DHT service for the libp2p host. Only its provider records are used: values have no order there, so state is not kept in them. */
export const dhtService = (options: { protocolPrefix: string; clientMode: boolean }) =>
  kadDHT({
    protocol: `${options.protocolPrefix}/kad/1.0.0`,
    // the default leaves out private addresses, and with them every peer of a network on one machine or LAN
    peerInfoMapper: passthroughMapper,
    clientMode: options.clientMode,
    disjointPaths: 3,
    // who holds nothing for others need not be found, and has better to do than to meet those around it: it dials nearly all whom it asks
    ...(options.clientMode
      ? { alpha: 2, initialQuerySelfInterval: 3_000, pingNewContactConcurrency: 2 }
      : { alpha: 3, initialQuerySelfInterval: 50 }),
    // a first lookup else waits until some twenty peers around ourselves are known, for seconds; it needs one, which is waited for here
    allowQueryWithZeroPeers: true,
    // renewing is done here, for as long as the caller wants
    reprovide: { interval: 60_000, validity: providerValidMs, threshold: 0 },
  });

/** Provider records, kept alive; lookups with a deadline. */
export function createDht({ dht, onConnect, log, clock }: Deps): DhtCalls {
  const { routingTable } = internalsOf(dht);
  const untilTable = async (signal: AbortSignal) => {
    if (routingTable.size === 0) await once(routingTable, "peer:add", { signal });
  };
  /** How many hold it now. */
  const provideOnce = async (key: CID, signal: AbortSignal): Promise<number> => {
    let told = 0;
    const limit = deadline(provideMs, signal);
    try {
      await untilTable(limit);
      for await (const event of dht.provide(key, { signal: limit }))
        if (event.name === "PEER_RESPONSE" && event.messageName === "ADD_PROVIDER") told += 1;
    } catch (error) {
      log.debug("provider record not placed everywhere", { told, error: (error as Error).message });
    }
    return told;
  };
  /** One at a time: each asks some twenty peers, which in a network that is busy takes long, and all at once keep it busy. */
  let turn: Promise<unknown> = Promise.resolve();
  const provideInTurn = (key: CID, signal: AbortSignal): Promise<number> => {
    const told = turn.then(() => (signal.aborted ? 0 : provideOnce(key, signal)));
    turn = told;
    return told;
  };
  /** Is one of them among those that the record belongs with, as far as our table tells? Most who come are consumers, which hold nothing. */
  const isHolder = (key: CID, peers: ReadonlySet<string>) =>
    [...routingTable.kb.closest(sha256(key.multihash.bytes), { count: replicas })].some((id) => peers.has(id.toString()));

  return {
    provide: async (key, signal) => {
      const cid = cidOf(key);
      let waitMs = retryMs;
      while (!signal.aborted) {
        const told = await provideInTurn(cid, signal);
        waitMs = told > 0 ? retryMs : Math.min(waitMs * 2, maxRetryMs);
        const providedMs = clock.nowMs();
        const early = new AbortController();
        const both = AbortSignal.any([signal, early.signal]);
        const come = new Set<string>();
        const off = onConnect((peer) => {
          if (told >= enough) return;
          come.add(peer);
          if (come.size > 1) return;
          // at once is too early: the table takes a peer in after a ping
          const sinceMs = clock.nowMs() - providedMs;
          clock.sleep(told > 0 ? Math.max(retryMs, renewSoonestMs - sinceMs) : retryMs, both).then(
            () => {
              if (told === 0 || isHolder(cid, come)) early.abort();
              come.clear();
            },
            () => undefined,
          );
        });
        await clock.sleep(told > 0 ? renewMs : waitMs * (0.5 + Math.random()), both).catch(() => undefined);
        off();
      }
      await dht.cancelReprovide(cid).catch(() => undefined);
    },
    async *findProviders(key, signal) {
      const seen = new Set<string>();
      const limit = deadline(findMs, signal);
      try {
        await untilTable(limit);
        for await (const event of dht.findProviders(cidOf(key), { signal: limit })) {
          if (event.name !== "PROVIDER") continue;
          for (const { id, multiaddrs } of event.providers) {
            const peer = id.toString();
            if (seen.has(peer)) continue;
            seen.add(peer);
            yield { peer, addresses: multiaddrs.map(String) };
          }
        }
      } catch (error) {
        if (!limit.aborted) log.debug("provider lookup failed", { error: (error as Error).message });
      }
    },
  };
}

type TableContact = { peerId: PeerId; kadId: Uint8Array };
/** What kad-dht's class has beyond its published interface; the version is pinned exactly. */
type Internals = {
  routingTable: EventTarget & {
    size: number;
    closestPeerTagger?: { refreshInterval: number };
    kb: {
      toIterable(): Iterable<TableContact>;
      closest(kadId: Uint8Array, options: { count: number }): Iterable<PeerId>;
      _determineBucket(kadId: Uint8Array): { peers: TableContact[] };
      verify(contact: TableContact, options?: unknown): Promise<boolean>;
    };
  };
};

const internalsOf = (dht: KadDHT) => dht as unknown as Internals;

/**
 * kad-dht tags those nearest to us every 5 s, for a keeping alive that we do by ourselves, and reads some forty keys each time: a tenth of
 * what a node costs that has nothing to do. To be called before it starts.
 */
export function tagSeldom(dht: KadDHT): void {
  const { closestPeerTagger } = internalsOf(dht).routingTable;
  if (closestPeerTagger) closestPeerTagger.refreshInterval = tagMs;
}

/** kad-dht lets one network fill its routing table: asks diversity.ts before a new contact is taken in. */
export function guardTable(dht: KadDHT, addressesOf: (peer: PeerId) => string[]): void {
  const table = internalsOf(dht).routingTable.kb;
  const verify = table.verify;
  /** where those in the table were connected from when they were taken in */
  const admitted = new Map<string, Contact>();
  const contactsOf = (entries: Iterable<TableContact>) => [...entries].flatMap(({ peerId }) => admitted.get(peerId.toString()) ?? []);
  table.verify = async (entry, options) => {
    // a ping connects, and so proves an address; who is connected has done so
    if (addressesOf(entry.peerId).length === 0 && !(await verify(entry, options))) return false;
    const inTable = [...table.toIterable()];
    const names = new Set(inTable.map(({ peerId }) => peerId.toString()));
    for (const name of admitted.keys()) if (!names.has(name)) admitted.delete(name);
    const contact = { addresses: addressesOf(entry.peerId) };
    if (!roomInTable(contact, contactsOf(table._determineBucket(entry.kadId).peers), contactsOf(inTable))) return false;
    admitted.set(entry.peerId.toString(), contact);
    return true;
  };
}
