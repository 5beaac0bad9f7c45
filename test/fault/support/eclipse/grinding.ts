import { createHash, randomBytes } from "node:crypto";
import { base58btc } from "multiformats/bases/base58";
import { placementKeys } from "../../../../src/discovery/protocol.ts";
import { createIdentity, type Identity } from "../../../../src/identity/identity.ts";
import { publicKeyOf } from "../../../../src/identity/signature.ts";
import { distance, kadIdOf } from "../../../support/simulation/kademlia.ts";

const prefix = Uint8Array.of(0x00, 0x25, 0x08, 0x02, 0x12, 0x21);
const peerIdOf = (key: Uint8Array): string => base58btc.encode(Uint8Array.from([...prefix, ...publicKeyOf(key)])).slice(1);

/** The places in the DHT where exits of a country are looked for, now and in the next hour; they are known to everybody in advance. */
function targets(country: string, nowMs: number): Uint8Array[] {
  const keys = new Map<string, Uint8Array>();
  // a peer id falls into one of four shards: enough of them fall into each
  for (let index = 0; index < 64; index++)
    for (const atMs of [nowMs, nowMs + 3_600_000])
      for (const key of placementKeys({ peer: `peer ${index}`, country, services: [{ kind: "proxy", perGiB: 0n, perHour: 0n }] }, atMs)) {
        const id = Uint8Array.from(createHash("sha256").update(key).digest());
        keys.set(Buffer.from(id).toString("hex"), id);
      }
  return [...keys.values()];
}

/**
 * Keys whose ids lie nearest to where a country's exits are looked for: of many made, those that come nearest to any of these places, as many for each.
 * @param tries keys made in all
 */
export function grindIdentities(count: number, country: string, nowMs: number, tries: number): Identity[] {
  const places = targets(country, nowMs);
  const nearest = places.map((): { key: Uint8Array; far: number }[] => []);
  const each = Math.ceil(count / places.length);
  for (let made = 0; made < tries; made++) {
    const key = Uint8Array.from(randomBytes(32));
    const id = kadIdOf(peerIdOf(key));
    const [best = 0, far = 0] = places
      .map((place, index): [number, number] => [index, distance(id, place)])
      .reduce((a, b) => (b[1] < a[1] ? b : a));
    const list = nearest[best] as { key: Uint8Array; far: number }[];
    list.push({ key, far });
    if (list.length > 4 * each) list.sort((a, b) => a.far - b.far).splice(2 * each);
  }
  return nearest
    .flatMap((list) => list.sort((a, b) => a.far - b.far).slice(0, each))
    .slice(0, count)
    .map(({ key }) => createIdentity(key));
}
