import { createHash, createPublicKey, decapsulate, encapsulate, generateKeyPairSync, hkdfSync } from "node:crypto";
import { MystError } from "../../lib/errors.ts";
import type { WgKey } from "./types.ts";

/**
 * A preshared key for WireGuard by ML-KEM-768 (FIPS 203), anew for each session: who records the traffic now and can compute discrete
 * logarithms later still lacks it. WireGuard's own exchange goes on beside it, so that it takes both to be broken. Who is at the other
 * end is proven by the stream that the halves come over.
 */
export const kemKeyBytes = 1184;
export const kemAnswerBytes = 1088;

/** What both ends know of the session that a key is for. */
export type Transcript = {
  /** 16 bytes, hex */
  sessionId: string;
  /** WireGuard's public keys of both ends */
  consumer: WgKey;
  exit: WgKey;
};

/** The consumer's half: `publicKey` goes with the proposal. */
export type KeyOffer = {
  /** 1,184 bytes */
  publicKey: Uint8Array;
  /** The key, once the exit has answered. An answer to another key gives another key, and the tunnel then never comes up. */
  presharedKey(answer: Uint8Array, transcript: Transcript): WgKey;
};

const label = "mystnode wireguard ml-kem-768 v1";
/** SubjectPublicKeyInfo of an ML-KEM-768 key up to the key itself (RFC 9935): the form in which the library takes it. */
const spkiHead = Buffer.from("308204b2300b0609608648016503040402038204a100", "hex");

export function offerKey(): KeyOffer {
  const pair = generateKeyPairSync("ml-kem-768");
  const publicKey = Uint8Array.from(pair.publicKey.export({ format: "der", type: "spki" }).subarray(spkiHead.length));
  return {
    publicKey,
    presharedKey: (answer, transcript) => derived(decapsulate(pair.privateKey, answer), publicKey, answer, transcript),
  };
}

/** The exit's half. @throws MALFORMED for what is no ML-KEM-768 key */
export function answerKey(publicKey: Uint8Array, transcript: Transcript): { answer: Uint8Array; presharedKey: WgKey } {
  try {
    const { sharedKey, ciphertext } = encapsulate(
      createPublicKey({ key: Buffer.concat([spkiHead, publicKey]), format: "der", type: "spki" }),
    );
    const answer = Uint8Array.from(ciphertext);
    return { answer, presharedKey: derived(sharedKey, publicKey, answer, transcript) };
  } catch (cause) {
    throw new MystError("MALFORMED", "a tunnel is asked for with an ML-KEM-768 key that is none", { cause });
  }
}

function derived(secret: Uint8Array, publicKey: Uint8Array, answer: Uint8Array, { sessionId, consumer, exit }: Transcript): WgKey {
  const exchanged = createHash("sha256").update(publicKey).update(answer).digest();
  const info = Buffer.concat([Buffer.from(label), Buffer.from(consumer, "base64"), Buffer.from(exit, "base64"), exchanged]);
  return Buffer.from(hkdfSync("sha256", secret, Buffer.from(sessionId, "hex"), info, 32)).toString("base64");
}
