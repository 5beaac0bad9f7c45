import { randomBytes } from "node:crypto";
import { everybody } from "../../../../src/discovery/announcers.ts";
import { openCatalogue } from "../../../../src/discovery/catalogue.ts";
import { digestOf } from "../../../../src/discovery/digest.ts";
import { encodeOffer, readOffer } from "../../../../src/discovery/offer.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { recordDigest } from "../../../../src/identity/record.ts";
import { recoverAddress } from "../../../../src/identity/signature.ts";
import { networkConfig } from "../../../support/simulation/market.ts";
import { memoryStore, signedBy } from "../../../unit/discovery/offers.ts";
import { heapInUse } from "./heap.ts";

/** What one node's copy of a market costs. */
export type OffersFound = {
  /** of one offer: on the wire, in memory, and of what says that it need not come again */
  wireBytes: number;
  heapBytes: number;
  digestBytes: number;
  /** µs of one offer: to take it in, from its envelope on; and the look at its signature alone */
  takeUs: number;
  recoverUs: number;
  /** ms to list all that are held, and how many these are */
  listMs: number;
  held: number;
};

const countries = ["US", "DE", "JP", "NL", "BR", "FR", "GB", "CA", "SG", "AU"];

/** Takes `count` offers of as many exits into a catalogue. */
export async function measureOffers(count: number): Promise<OffersFound> {
  const nowMs = Date.now();
  const envelopes = Array.from({ length: count }, (_, index) => {
    const owner = createIdentity(randomBytes(32));
    const country = countries[index % countries.length] as string;
    return encodeOffer(signedBy(owner, { country, seq: BigInt(nowMs), expiresMs: nowMs + 600_000 }, networkConfig));
  });
  const beforeBytes = await heapInUse();
  const catalogue = await openCatalogue({
    ...{ store: memoryStore(), clock: { nowMs: () => nowMs }, network: networkConfig, announcers: everybody },
  });
  const beganMs = performance.now();
  for (const envelope of envelopes) catalogue.add(readOffer(envelope), "gossip");
  const takeMs = performance.now() - beganMs;
  const heapBytes = (await heapInUse()) - beforeBytes;
  const listedMs = performance.now();
  const all = catalogue.all();
  const listMs = performance.now() - listedMs;
  const digests = all.map(({ body, signature }) => ({ digest: recordDigest({ kind: "offer", network: networkConfig }, body), signature }));
  const recoveredMs = performance.now();
  for (const { digest, signature } of digests) recoverAddress(digest, signature);
  const recoverMs = performance.now() - recoveredMs;
  return {
    wireBytes: envelopes.reduce((sum, { byteLength }) => sum + byteLength, 0) / count,
    heapBytes: heapBytes / all.length,
    digestBytes: digestOf(all.map(({ signature }) => signature)).bits.byteLength / all.length,
    takeUs: (takeMs * 1000) / count,
    recoverUs: (recoverMs * 1000) / all.length,
    listMs,
    held: all.length,
  };
}
