import { type Offer, type SignedOffer, signOffer } from "../../../src/discovery/offer.ts";
import { createIdentity, type Identity } from "../../../src/identity/identity.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import type { Op, Store } from "../../../src/lib/store.ts";

export const market = { chainId: 31337, contract: `0x${"ab".repeat(20)}` as Hex };
export const startMs = 1_750_000_000_000;

const identities = new Map<number, Identity>();

/** The same key for the same number. */
export function identity(number: number): Identity {
  const known = identities.get(number) ?? createIdentity(Uint8Array.from({ length: 32 }, (_, index) => (index === 31 ? number : 1)));
  identities.set(number, known);
  return known;
}

export function offerOf(owner: Identity, change: Partial<Offer> = {}): Offer {
  return {
    peer: owner.peerId,
    address: owner.address,
    addresses: [`/ip4/127.0.0.1/tcp/4010/p2p/${owner.peerId}`],
    country: "US",
    networkKind: "datacenter",
    services: [{ kind: "proxy", perGiB: 100n, perHour: 10n }],
    policy: "no mail, no private networks",
    closedPorts: [25, 465, 587],
    maxSessions: 10,
    sessions: 0,
    seq: BigInt(startMs),
    expiresMs: startMs + 600_000,
    ...change,
  };
}

export const signedBy = (owner: Identity, change: Partial<Offer> = {}, network = market): SignedOffer =>
  signOffer(owner, network, offerOf(owner, change));

export function fakeClock(nowMs = startMs) {
  let now = nowMs;
  return {
    nowMs: () => now,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

/** A store in memory; what is written stays over "restarts" on the same one. */
export function memoryStore(): Pick<Store, "table" | "writeLazily"> & { rows: Map<string, Uint8Array> } {
  const rows = new Map<string, Uint8Array>();
  return {
    rows,
    table: (name) => ({
      get: async (key) => rows.get(`${name}/${key}`),
      async *entries(prefix = "") {
        const start = `${name}/${prefix}`;
        for (const [key, value] of [...rows].sort()) if (key.startsWith(start)) yield [key.slice(name.length + 1), value];
      },
      put: (key, value) => ({ type: "put", key: `${name}/${key}`, value }),
      del: (key) => ({ type: "del", key: `${name}/${key}` }),
    }),
    writeLazily: async (ops: Op[]) => {
      for (const op of ops) {
        if (op.type === "put") rows.set(op.key, op.value);
        else rows.delete(op.key);
      }
    },
  };
}
