import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Identity } from "../identity/identity.ts";
import { recoverAddress } from "../identity/signature.ts";
import type { CborReader } from "../lib/cbor-reader.ts";
import { fixedBytes, type Hex, wireUint } from "../lib/codec.ts";
import { keccakHex } from "../lib/keccak.ts";
import { type ClearingDomain, type PromiseData, promiseDigest } from "./eip712.ts";

/** A promise with its payer's 64-byte signature (r, vs): money, once the provider has shown its salt to the contract. */
export type SignedPromise = PromiseData & { signature: Uint8Array };

export const saltBytes = 12;
/** A fresh channel's salt: 96 random bits, which hide the provider from whoever sees the channel. */
export const newSalt = (): Uint8Array => Uint8Array.from(randomBytes(saltBytes));

/** keccak256(abi.encodePacked(address provider, uint96 salt)): 20 + 12 bytes hashed. */
export const channelId = (provider: Hex, salt: Uint8Array): Hex => keccakHex(Buffer.concat([Buffer.from(provider.slice(2), "hex"), salt]));

export const signPromise = (domain: ClearingDomain, identity: Pick<Identity, "sign">, promise: PromiseData): SignedPromise => ({
  ...promise,
  signature: identity.sign(promiseDigest(domain, promise)),
});

/**
 * Who signed it. Any change to content, chain or contract makes this another, random address: compare it with the payer's.
 * @throws BAD_SIGNATURE when it is no signature at all
 */
export const promiseSigner = (domain: ClearingDomain, promise: SignedPromise): Hex =>
  recoverAddress(promiseDigest(domain, promise), promise.signature);

/** Whether two promises say the same; a signature may differ without the content doing so. */
export const samePromise = (a: PromiseData, b: PromiseData): boolean =>
  a.channel === b.channel && a.cumulative === b.cumulative && a.total === b.total && a.seq === b.seq;

/** 32 bytes on the wire, `0x` + 64 lower-case hex digits in memory. */
export const wireHash = z.codec(
  fixedBytes(32),
  z.custom<Hex>((value) => /^0x[0-9a-f]{64}$/.test(String(value))),
  {
    decode: (bytes) => `0x${Buffer.from(bytes).toString("hex")}` as Hex,
    encode: (hash) => Uint8Array.from(Buffer.from(hash.slice(2), "hex")),
  },
);

/** A promise as it stands in a message or on disk: at most 150 bytes as CBOR. */
export const wirePromise = z.strictObject({
  channel: wireHash,
  cumulative: wireUint(96),
  total: wireUint(96),
  seq: wireUint(64),
  signature: fixedBytes(64),
});

/** Reads one where it stands in the order in which it is written: `CborReader.done` tells whether it was one. */
export function readPromise(input: CborReader): SignedPromise {
  input.map(5);
  input.text("seq");
  const seq = input.amount(8);
  input.text("total");
  const total = input.amount(12);
  input.text("channel");
  const channel = input.hex(32);
  input.text("signature");
  const signature = input.bytes(64);
  input.text("cumulative");
  return { channel, cumulative: input.amount(12), total, seq, signature };
}
