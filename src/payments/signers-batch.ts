import { recoverAddress } from "../identity/signature.ts";
import type { Hex } from "../lib/codec.ts";
import { promiseStruct, structDigest } from "./eip712.ts";
import type { SignedPromise } from "./promise.ts";

/** Promises as they go to the thread that finds their signers: each its EIP-712 struct (160 bytes) and its signature. */
const structBytes = 160;
const signatureBytes = 64;
const checkBytes = structBytes + signatureBytes;
const addressBytes = 20;
const nobody = "0".repeat(2 * addressBytes);

/** In memory of its own, which may be handed over. A signature of another length becomes zeros, which are nobody's. */
export function packChecks(promises: SignedPromise[]): Uint8Array {
  const packed = new Uint8Array(checkBytes * promises.length);
  promises.forEach((promise, i) => {
    packed.set(promiseStruct(promise), checkBytes * i);
    if (promise.signature.length === signatureBytes) packed.set(promise.signature, checkBytes * i + structBytes);
  });
  return packed;
}

/** The signers' addresses, 20 bytes each; zeros for what is no signature. */
export function signersIn(separator: Uint8Array, packed: Uint8Array): Uint8Array {
  const count = packed.length / checkBytes;
  const signers = new Uint8Array(addressBytes * count);
  for (let i = 0; i < count; i += 1) {
    const struct = packed.subarray(checkBytes * i, checkBytes * i + structBytes);
    const signature = packed.subarray(checkBytes * i + structBytes, checkBytes * (i + 1));
    try {
      signers.set(Buffer.from(recoverAddress(structDigest(separator, struct), signature).slice(2), "hex"), addressBytes * i);
    } catch {
      // stays nobody's
    }
  }
  return signers;
}

export function unpackSigners(signers: Uint8Array): (Hex | undefined)[] {
  const hex = Buffer.from(signers.buffer, signers.byteOffset, signers.byteLength).toString("hex");
  return Array.from({ length: signers.length / addressBytes }, (_, i) => {
    const address = hex.slice(2 * addressBytes * i, 2 * addressBytes * (i + 1));
    return address === nobody ? undefined : (`0x${address}` as Hex);
  });
}
