import type { Hex } from "../lib/codec.ts";

/** What an exit sells, as it goes over the wire: signed by the exit's own key, at most 2 KB, gone after its expiry. */
export type Offer = {
  peer: string;
  address: Hex;
  /** where to dial, with /p2p/<peer> */
  addresses: string[];
  /** ISO 3166-1 alpha-2, as claimed */
  country: string;
  city?: string;
  /** "residential" | "datacenter" | "mobile" | "unknown", as claimed */
  networkKind: string;
  services: ServiceOffer[];
  /** one line a person can read: what the exit refuses */
  policy: string;
  maxSessions: number;
  sessions: number;
  /** rises with every new content; ms since the epoch of its making */
  seq: bigint;
  expiresMs: number;
};

export type ServiceOffer = {
  kind: string;
  /** base units per 2^30 bytes */
  perGiB: bigint;
  /** base units per hour */
  perHour: bigint;
};

export type SignedOffer = { offer: Offer /** canonical bytes as signed */; body: Uint8Array; signature: Uint8Array };
