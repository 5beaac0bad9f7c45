import { z } from "zod";
import { cborCodec, type Hex, wireAddress } from "../../lib/codec.ts";
import { MystError } from "../../lib/errors.ts";
import { type SignedPromise, wirePromise } from "../promise.ts";

/** A signed promise as gossip tells it to everybody who might be promised the same money: who has signed it, and not who tells it. */
export type SignedHead = { signer: Hex; promise: SignedPromise };

/** A head on the wire, at most; the most that one can come to is 230. */
export const maxHeadBytes = 256;
/** One topic for each first hex digit of a signer's address: who follows few signers need not hear of all. */
export const shards = 16;

export const shardTopic = (shard: number): string => `heads/${shard.toString(16)}`;
export const shardOf = (signer: Hex): number => Number.parseInt(signer.charAt(2), 16);

const codec = cborCodec(z.strictObject({ signer: wireAddress, ...wirePromise.shape }), maxHeadBytes);

export const encodeHead = ({ signer, promise }: SignedHead): Uint8Array =>
  Uint8Array.from(codec.encode({ signer, ...contentOf(promise), signature: promise.signature }));

/** Reads a head without looking at its signature. @throws MALFORMED, also when it is encoded in any but its one canonical way */
export function readHead(bytes: Uint8Array): SignedHead {
  const { signer, ...promise } = codec.decode(bytes);
  const head = { signer, promise: { ...promise, signature: Uint8Array.from(promise.signature) } };
  if (Buffer.compare(encodeHead(head), bytes) !== 0) throw new MystError("MALFORMED", "the head is not encoded canonically");
  return head;
}

/** Heads of one payer that cannot all be true, as one message: each by itself may be old news. */
export type EvidenceMessage = { signer: Hex; promises: SignedPromise[] };

export const evidenceTopic = "evidence";
/** what takes more is told head by head */
export const maxEvidence = 64;
export const maxEvidenceBytes = 16_384;
const evidenceCodec = cborCodec(
  z.strictObject({ signer: wireAddress, heads: z.array(wirePromise).min(2).max(maxEvidence) }),
  maxEvidenceBytes,
);

export const encodeEvidence = ({ signer, promises }: EvidenceMessage): Uint8Array =>
  Uint8Array.from(
    evidenceCodec.encode({ signer, heads: promises.map((promise) => ({ ...contentOf(promise), signature: promise.signature })) }),
  );

/** Reads evidence without weighing it. @throws MALFORMED, also when it is encoded in any but its one canonical way */
export function readEvidence(bytes: Uint8Array): EvidenceMessage {
  const { signer, heads } = evidenceCodec.decode(bytes);
  const evidence = { signer, promises: heads.map((head) => ({ ...head, signature: Uint8Array.from(head.signature) })) };
  if (Buffer.compare(encodeEvidence(evidence), bytes) !== 0) throw new MystError("MALFORMED", "the evidence is not encoded canonically");
  return evidence;
}

const contentOf = ({ channel, cumulative, total, seq }: SignedPromise) => ({ channel, cumulative, total, seq });
