import { z } from "zod";
import { boundedBytes, cborCodec, fixedBytes } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Identity } from "./identity.ts";
import { peerAddress } from "./peer.ts";
import { type RecordDomain, recordSigner, signRecord } from "./record.ts";

/** One key says that another takes its place, and the other agrees: what is known of the one holds for the other, and the one is refused. */
export type Handover = {
  /** peer ids */
  from: string;
  to: string;
  atMs: number;
};

export const maxHandoverBytes = 512;
const maxBodyBytes = 300;
const bodyCodec = cborCodec(
  z.strictObject({
    from: z.string().min(1).max(80),
    to: z.string().min(1).max(80),
    atMs: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  }),
  maxBodyBytes,
);
const envelopeCodec = cborCodec(
  z.strictObject({ body: boundedBytes(maxBodyBytes), from: fixedBytes(64), to: fixedBytes(64) }),
  maxHandoverBytes,
);
const domain = (network: RecordDomain["network"]): RecordDomain => ({ kind: "handover", network });

type Signer = Pick<Identity, "peerId" | "sign">;

/** Signed by both keys, at most 512 bytes. */
export function signHandover(from: Signer, to: Signer, network: RecordDomain["network"], atMs: number): Uint8Array {
  const body = Uint8Array.from(bodyCodec.encode({ from: from.peerId, to: to.peerId, atMs }));
  return envelopeCodec.encode({ body, from: signRecord(from, domain(network), body), to: signRecord(to, domain(network), body) });
}

/** Reads it without looking at signatures. @throws MALFORMED, also for one from a key to itself */
export function readHandover(bytes: Uint8Array): Handover {
  const handover = bodyCodec.decode(envelopeCodec.decode(bytes).body);
  if (handover.from === handover.to) throw new MystError("MALFORMED", "a key cannot take its own place");
  return handover;
}

/** Reads it, and proves that both keys have signed it for this network. @throws MALFORMED, BAD_SIGNATURE */
export function openHandover(bytes: Uint8Array, network: RecordDomain["network"]): Handover {
  const handover = readHandover(bytes);
  const { body, from, to } = envelopeCodec.decode(bytes);
  for (const [peer, signature] of [
    [handover.from, from],
    [handover.to, to],
  ] as const)
    if (recordSigner(domain(network), body, signature) !== peerAddress(peer))
      throw new MystError("BAD_SIGNATURE", "the hand-over is not signed by both keys for this network");
  return handover;
}
