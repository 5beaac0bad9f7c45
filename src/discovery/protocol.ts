import { z } from "zod";
import { boundedBytes, cborCodec, fixedBytes } from "../lib/codec.ts";
import { maxDigestBytes, saltBytes } from "./digest.ts";
import { maxOfferBytes, type Offer } from "./offer.ts";

/** gossip: signed offers */
export const offersTopic = "offers";
/** gossip: "who sells?", 8 random bytes that say nothing of who asks */
export const wantedTopic = "wanted";
export const wantedBytes = 8;

/** ask an exit for its own offer: an empty question, an envelope as answer */
export const offerProtocol = "offer/1.0.0";
/** ask any peer for a page of the offers it holds and the asker does not; the asker may hand over its own */
export const snapshotProtocol = "offers/1.0.0";
export const maxQuestionBytes = maxOfferBytes + maxDigestBytes + 300;
export const maxPageBytes = 512 * 1024;

/**
 * `after`: the last peer id of the page before; `own`: the asker's own envelope, for those who gossip does not reach; `known`: what it
 * has already (digest.ts), which need not come again.
 */
export const questionCodec = cborCodec(
  z.strictObject({
    after: z.string().max(80).optional(),
    own: boundedBytes(maxOfferBytes).optional(),
    known: z.strictObject({ salt: fixedBytes(saltBytes), bits: boundedBytes(maxDigestBytes) }).optional(),
  }),
  maxQuestionBytes,
);
/** `more`: there are offers beyond the last of this page. */
export const pageCodec = cborCodec(
  z.strictObject({ offers: z.array(boundedBytes(maxOfferBytes)).max(5000), more: z.boolean() }),
  maxPageBytes,
);

const epochMs = 3_600_000;
/** Records are placed ahead of the next epoch by at least this much, which is also what a seeker's clock may be behind or ahead. */
const overlapMs = 600_000;
/** Earlier by up to this much, each exit by its own: all at the same minute kept a network busy that has most of its peers on few machines. */
const spreadMs = 600_000;
/** One key per country would be found and surrounded by whoever makes twenty ids near it; so there are several, and new ones each epoch. */
const shards = 4;
export const any = "*";

const keyOf = (country: string, service: string, epoch: number, shard: number): Uint8Array =>
  new TextEncoder().encode(`offers/${country}/${service}/${epoch}/${shard}`);
const folds = 65_521;
const foldOf = (peer: string): number => [...peer].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % folds, 7);

/** DHT keys an exit is to be found under: its country and any, each of its services and any, now and soon. */
export function placementKeys(offer: Pick<Offer, "peer" | "country" | "services">, nowMs: number): Uint8Array[] {
  const fold = foldOf(offer.peer);
  const aheadMs = overlapMs + (fold * spreadMs) / folds;
  const epochs = new Set([nowMs, nowMs + aheadMs].map((ms) => Math.floor(ms / epochMs)));
  const keys: Uint8Array[] = [];
  for (const epoch of epochs)
    for (const country of [offer.country, any])
      for (const service of [...offer.services.map(({ kind }) => kind), any]) keys.push(keyOf(country, service, epoch, fold % shards));
  return keys;
}

/** DHT keys to look under, in all shards. */
export const lookupKeys = (query: { country?: string; service?: string }, nowMs: number): Uint8Array[] =>
  Array.from({ length: shards }, (_, shard) =>
    keyOf(query.country?.toUpperCase() ?? any, query.service ?? any, Math.floor(nowMs / epochMs), shard),
  );
