import { z } from "zod";
import type { Identity } from "../identity/identity.ts";
import { type RecordDomain, recordSigner, signRecord } from "../identity/record.ts";
import { boundedBytes, cborCodec, fixedBytes, type Hex, wireAddress, wireUint } from "../lib/codec.ts";
import { isCountry } from "../lib/countries.ts";
import { MystError } from "../lib/errors.ts";

/**
 * What one payer says of one exit for one week, signed by the payer alone: exits would keep bad ratings from being made. What was
 * settled is what the contract has cleared in that week on the channels shown, so that anybody can look it up.
 */
export type PairRecord = {
  payer: Hex;
  provider: Hex;
  /** weeks since 1970 */
  epoch: number;
  /** rises with every new content; ms since the epoch of its making */
  seq: number;
  /** base units; at least 1, for where no money went there is nothing to weigh a word by */
  settled: bigint;
  /** of the channels that it was cleared on: keccak256(provider ‖ salt) is a channel's name in the contract's events */
  salts: Uint8Array[];
  /** sessions that carried anything or should have */
  sessions: number;
  /** of them, those that ended by the exit's fault */
  fails: number;
  /** medians over the sessions: Mbit/s, ms */
  mbpsP50?: number | undefined;
  rttP50?: number | undefined;
  /** where traffic came out, if that was seen */
  egressCountry?: string | undefined;
  egressAsn?: number | undefined;
  /** sum of `flags` that applied to any of the sessions */
  flags: number;
};

export const flags = {
  /** paid for and not served, or silence in the middle */
  unserved: 1,
  /** counted more than was used */
  overcharged: 2,
  /** its traffic came out in another country than it claimed */
  elsewhere: 4,
};

export type SignedPair = { record: PairRecord /** canonical bytes as signed */; body: Uint8Array; signature: Uint8Array };

/** Two contents under one seq, both signed: who tells two stories is believed neither. */
export type Fork = { a: SignedPair; b: SignedPair };

/** A record on the wire, at most. */
export const maxPairBytes = 400;
/** The rest is the signature and the envelope's own framing. */
const maxBodyBytes = maxPairBytes - 86;
export const maxForkBytes = 2 * maxPairBytes + 20;
export const maxSalts = 8;
export const saltBytes = 12;

const count = z.number().int().min(0).max(65_535);
const bodyCodec = cborCodec(
  z
    .strictObject({
      payer: wireAddress,
      provider: wireAddress,
      epoch: count,
      seq: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
      settled: wireUint(96).refine((amount) => amount > 0n),
      salts: z.array(fixedBytes(saltBytes)).min(1).max(maxSalts),
      sessions: count,
      fails: count,
      mbpsP50: count.optional(),
      rttP50: count.optional(),
      egressCountry: z.string().refine(isCountry).optional(),
      egressAsn: z.number().int().min(1).max(4_294_967_295).optional(),
      flags: z.number().int().min(0).max(255),
    })
    .refine(({ sessions, fails }) => fails <= sessions, "more failures than sessions")
    .refine(({ salts }) => new Set(salts.map((salt) => Buffer.from(salt).toString("hex"))).size === salts.length, "a channel twice")
    .refine(({ payer, provider }) => payer !== provider, "of itself"),
  maxBodyBytes,
);
const envelope = z.strictObject({ body: boundedBytes(maxBodyBytes), signature: fixedBytes(64) });
const envelopeCodec = cborCodec(envelope, maxPairBytes);
const forkCodec = cborCodec(z.strictObject({ a: envelope, b: envelope }), maxForkBytes);

const domain = (network: RecordDomain["network"]): RecordDomain => ({ kind: "pair", network });
const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** A record's content: what is left out is left out of the bytes too. */
const canonical = (record: PairRecord): Uint8Array =>
  Uint8Array.from(bodyCodec.encode(Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as PairRecord));

/**
 * Signs a record for one network with its payer's key.
 * @throws MALFORMED when it has not the form of a record
 */
export function signPair(identity: Pick<Identity, "sign">, network: RecordDomain["network"], record: PairRecord): SignedPair {
  let body: Uint8Array;
  try {
    body = canonical(record);
  } catch (cause) {
    throw new MystError("MALFORMED", "that is no record of a pair", { cause });
  }
  return { record, body, signature: signRecord(identity, domain(network), body) };
}

/** The envelope that goes over the wire. */
export const encodePair = ({ body, signature }: Pick<SignedPair, "body" | "signature">): Uint8Array =>
  envelopeCodec.encode({ body, signature });

/**
 * Reads an envelope without looking at its signature, at what was cleared or at the time: cheap, so that what is known already costs
 * nothing more. @throws MALFORMED, also when the content is encoded in any but its one canonical way
 */
export const readPair = (bytes: Uint8Array): SignedPair => opened(envelopeCodec.decode(bytes));

function opened({ body, signature }: { body: Uint8Array; signature: Uint8Array }): SignedPair {
  const record: PairRecord = bodyCodec.decode(body);
  if (!sameBytes(canonical(record), body)) throw new MystError("MALFORMED", "the record is not encoded canonically");
  return { record, body: Uint8Array.from(body), signature: Uint8Array.from(signature) };
}

/** Proves that the payer it names signed it for this network. @throws BAD_SIGNATURE */
export function checkPayer({ record, body, signature }: SignedPair, network: RecordDomain["network"]): void {
  if (recordSigner(domain(network), body, signature) !== record.payer)
    throw new MystError("BAD_SIGNATURE", "the record was not signed by its payer for this network");
}

/** Do these two say different things under one number? By form alone: the signatures are another matter. */
export const contradict = (a: SignedPair, b: SignedPair): boolean =>
  a.record.payer === b.record.payer &&
  a.record.provider === b.record.provider &&
  a.record.epoch === b.record.epoch &&
  a.record.seq === b.record.seq &&
  !sameBytes(a.body, b.body);

const parts = ({ body, signature }: SignedPair) => ({ body, signature });
export const encodeFork = ({ a, b }: Fork): Uint8Array => forkCodec.encode({ a: parts(a), b: parts(b) });

/** @throws MALFORMED, also for two that do not contradict each other */
export function readFork(bytes: Uint8Array): Fork {
  const pair = forkCodec.decode(bytes);
  const fork = { a: opened(pair.a), b: opened(pair.b) };
  if (!contradict(fork.a, fork.b)) throw new MystError("MALFORMED", "the two records do not contradict each other");
  return fork;
}
