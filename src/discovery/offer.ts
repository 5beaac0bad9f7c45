import { z } from "zod";
import type { Identity } from "../identity/identity.ts";
import { peerAddress } from "../identity/peer.ts";
import { type RecordDomain, recordSigner, signRecord } from "../identity/record.ts";
import { boundedBytes, cborCodec, fixedBytes, type Hex, wireAddress, wireUint } from "../lib/codec.ts";
import { isCountry } from "../lib/countries.ts";
import { MystError } from "../lib/errors.ts";

/** What an exit sells, as it goes over the wire: signed by the exit's own key, at most 2 KB, gone after its expiry. */
export type Offer = {
  peer: string;
  address: Hex;
  /** whose exit it is, where that is another account than `address`, as claimed: exits of one operator name the same */
  owner?: Hex;
  /** where to dial, with /p2p/<peer> */
  addresses: string[];
  /** ISO 3166-1 alpha-2, as claimed */
  country: string;
  city?: string;
  /** one of `networkKinds`, as claimed */
  networkKind: string;
  /** none: the exit has withdrawn */
  services: ServiceOffer[];
  /** one line a person can read: what the exit refuses */
  policy: string;
  /** ports that its clients reach at no address, rising */
  closedPorts: number[];
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
  /** of `watch` alone, which has no other price: the fee on what it clears for others, in hundredths of a percent */
  feeBps?: number | undefined;
};

/** The kind of service that clears for others; nobody goes out by it. */
export const watchKind = "watch";
/** The kind of service that forwards between two peers that cannot reach each other. */
export const relayKind = "relay";
export const isWayOut = ({ kind }: Pick<ServiceOffer, "kind">): boolean => kind !== watchKind && kind !== relayKind;

export type SignedOffer = { offer: Offer /** canonical bytes as signed */; body: Uint8Array; signature: Uint8Array };

/** A signed offer on the wire, at most. */
export const maxOfferBytes = 2048;
/** The rest is the signature and the envelope's own framing. */
const maxBodyBytes = maxOfferBytes - 96;
/** How long an offer is good for from its making, and at most from now on; the difference is what clocks may be apart. */
export const offerLifeMs = 10 * 60_000;
const maxAheadMs = 15 * 60_000;
const maxSkewMs = maxAheadMs - offerLifeMs;

export const networkKinds = ["residential", "datacenter", "mobile", "unknown"];

/** One line that a terminal can show: no control characters, nothing invisible. */
const line = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^\P{C}*$/u);
const count = z.number().int().min(0).max(1_000_000);
const price = wireUint(128);
const service = z
  .strictObject({
    kind: z.string().regex(/^[a-z][a-z0-9-]{0,19}$/),
    perGiB: price,
    perHour: price,
    feeBps: z.int().min(0).max(10_000).optional(),
  })
  .refine(({ kind, feeBps }) => (kind === watchKind) === (feeBps !== undefined), "a fee on what it does not clear, or none");
/** over TCP, straight or through a relay */
const address = z
  .string()
  .regex(/^\/(ip4|ip6|dns4|dns6)\/[0-9A-Za-z.:-]{1,100}\/tcp\/\d{1,5}(\/p2p\/[0-9A-Za-z]{1,80}\/p2p-circuit)?\/p2p\/[0-9A-Za-z]{1,80}$/);

const bodyCodec = cborCodec(
  z
    .strictObject({
      peer: z.string().min(1).max(80),
      address: wireAddress,
      owner: wireAddress.optional(),
      addresses: z.array(address).max(8),
      country: z.string().refine(isCountry),
      city: line(60).min(1).optional(),
      networkKind: z.string().refine((kind) => networkKinds.includes(kind)),
      services: z.array(service).max(8),
      policy: line(300),
      closedPorts: z
        .array(z.number().int().min(1).max(65_535))
        .max(32)
        .refine((ports) => ports.every((port, index) => index === 0 || port > (ports[index - 1] ?? 0))),
      maxSessions: count,
      sessions: count,
      seq: wireUint(64),
      expiresMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    })
    .refine(({ addresses, peer }) => addresses.every((text) => text.endsWith(`/p2p/${peer}`)), "an address of another peer")
    .refine(({ services }) => new Set(services.map(({ kind }) => kind)).size === services.length, "a service twice"),
  maxBodyBytes,
  { canonical: true },
);
const envelopeCodec = cborCodec(z.strictObject({ body: boundedBytes(maxBodyBytes), signature: fixedBytes(64) }), maxOfferBytes);

const domain = (network: RecordDomain["network"]): RecordDomain => ({ kind: "offer", network });

/**
 * Signs an offer for one network.
 * @throws MALFORMED when it has not the form of an offer or is over 2 KB
 */
export function signOffer(identity: Pick<Identity, "sign">, network: RecordDomain["network"], offer: Offer): SignedOffer {
  const { city, owner, ...rest } = offer;
  let body: Uint8Array;
  try {
    body = Uint8Array.from(bodyCodec.encode({ ...rest, ...(city !== undefined && { city }), ...(owner !== undefined && { owner }) }));
  } catch (cause) {
    throw new MystError("MALFORMED", "that is no offer", { cause });
  }
  if (body.byteLength > maxBodyBytes)
    throw new MystError("MALFORMED", `the offer has ${body.byteLength} bytes, at most ${maxBodyBytes} are allowed`, {
      hint: "give it a shorter policy, or fewer addresses",
    });
  return { offer, body, signature: signRecord(identity, domain(network), body) };
}

/** The envelope that goes over the wire. */
export const encodeOffer = ({ body, signature }: Pick<SignedOffer, "body" | "signature">): Uint8Array =>
  envelopeCodec.encode({ body, signature });

/**
 * Reads an envelope without checking its signature or times: cheap, so that what is known already costs nothing more.
 * @throws MALFORMED, also when the content is encoded in any but its one canonical way
 */
export function readOffer(bytes: Uint8Array): SignedOffer {
  const { body, signature } = envelopeCodec.decode(bytes);
  const offer: Offer = bodyCodec.decode(body);
  return { offer, body: Uint8Array.from(body), signature: Uint8Array.from(signature) };
}

/** @throws OFFER_EXPIRED when it is over, or is for further ahead than any clock of ours may be wrong */
export function checkTimes({ expiresMs, seq }: Pick<Offer, "expiresMs" | "seq">, nowMs: number): void {
  if (expiresMs <= nowMs) throw new MystError("OFFER_EXPIRED", "the offer has expired");
  if (expiresMs > nowMs + maxAheadMs || seq > BigInt(nowMs + maxSkewMs))
    throw new MystError("OFFER_EXPIRED", "the offer is from the future", { hint: "check that your clock is right" });
}

/** Proves that the peer it names signed it for this network. @throws BAD_SIGNATURE, MALFORMED for a peer that has no such key */
export function checkSigner({ offer, body, signature }: SignedOffer, network: RecordDomain["network"]): void {
  const owner = peerAddress(offer.peer);
  if (owner !== offer.address || recordSigner(domain(network), body, signature) !== owner)
    throw new MystError("BAD_SIGNATURE", "the offer was not signed by its peer for this network");
}

/** Reads and checks all. @throws MALFORMED, OFFER_EXPIRED, BAD_SIGNATURE */
export function openOffer(bytes: Uint8Array, network: RecordDomain["network"], nowMs: number): SignedOffer {
  const signed = readOffer(bytes);
  checkTimes(signed.offer, nowMs);
  checkSigner(signed, network);
  return signed;
}
