import { createRequire } from "node:module";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { keccakHex } from "../lib/keccak.ts";

/** The curve's operations, from libsecp256k1: native where it loads, compiled to WebAssembly elsewhere. Never plain JavaScript. */
type Curve = {
  kind: "native" | "wasm";
  sign(digest: Uint8Array, key: Uint8Array): { signature: Uint8Array; recovery: number };
  /** the uncompressed public key, 65 bytes; throws on a signature that recovers to none */
  recover(digest: Uint8Array, signature: Uint8Array, recovery: number): Uint8Array;
  /** compressed */
  publicKey(key: Uint8Array): Uint8Array;
  uncompress(publicKey: Uint8Array): Uint8Array;
};

const require = createRequire(import.meta.url);

function loadCurve(): Curve {
  try {
    const native = require("secp256k1/bindings.js");
    return {
      kind: "native",
      sign: (digest, key) => {
        const { signature, recid } = native.ecdsaSign(digest, key);
        return { signature, recovery: recid };
      },
      recover: (digest, signature, recovery) => native.ecdsaRecover(signature, recovery, digest, false),
      publicKey: (key) => native.publicKeyCreate(key, true),
      uncompress: (publicKey) => native.publicKeyConvert(publicKey, false),
    };
  } catch {
    const wasm = require("tiny-secp256k1");
    return {
      kind: "wasm",
      sign: (digest, key) => {
        const { signature, recoveryId } = wasm.signRecoverable(digest, key);
        return { signature, recovery: recoveryId };
      },
      recover: (digest, signature, recovery) => wasm.recover(digest, signature, recovery, false) ?? raise("no point"),
      publicKey: (key) => wasm.pointFromScalar(key, true) ?? raise("no key"),
      uncompress: (publicKey) => wasm.pointCompress(publicKey, false),
    };
  }
}
const raise = (message: string): never => {
  throw new Error(message);
};

const curve = loadCurve();
/** which build of libsecp256k1 is in use; `mystnode doctor` shows it */
export const curveKind = curve.kind;

/** Half the group order: EIP-2 and EIP-2098 allow only s at or below it. */
const halfOrder = Buffer.from("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", "hex");

/** @throws KEYSTORE_INVALID when `key` is not 32 bytes within the group order */
export function publicKeyOf(key: Uint8Array): Uint8Array {
  try {
    return Uint8Array.from(curve.publicKey(key));
  } catch {
    // the cause could quote the key: leave it out
    throw new MystError("KEYSTORE_INVALID", "that is no secp256k1 private key", { hint: "a private key is 32 bytes, 64 hex digits" });
  }
}

/** Addresses of uncompressed keys: a payer signs again and again, and the hash is a tenth of what a check costs. */
const addresses = new Map<string, Hex>();
const mostAddresses = 4_096;

/** The Ethereum address (lower-case hex) of a public key, compressed or not. */
export function addressOf(publicKey: Uint8Array): Hex {
  const point = publicKey.length === 65 ? publicKey : curve.uncompress(publicKey);
  const name = Buffer.from(point.buffer, point.byteOffset, point.byteLength).toString("latin1");
  let address = addresses.get(name);
  if (!address) {
    address = `0x${keccakHex(point.subarray(1)).slice(-40)}`;
    if (addresses.size >= mostAddresses) addresses.clear();
    addresses.set(name, address);
  }
  return address;
}

/** Signs a 32-byte digest: 64 bytes, r then s with the parity of y in its top bit (EIP-2098). */
export function signDigest(digest: Uint8Array, key: Uint8Array): Uint8Array {
  const { signature, recovery } = curve.sign(digest, key);
  const compact = Uint8Array.from(signature);
  compact[32] = (compact[32] ?? 0) | (recovery << 7);
  return compact;
}

/**
 * The address that signed `digest`. Only the 64-byte form with a low s is a signature here, so that one content has one encoding.
 * @throws BAD_SIGNATURE
 */
export function recoverAddress(digest: Uint8Array, signature: Uint8Array): Hex {
  if (signature.length !== 64) throw new MystError("BAD_SIGNATURE", `a signature has 64 bytes, not ${signature.length}`);
  const plain = Uint8Array.from(signature);
  const recovery = (plain[32] ?? 0) >> 7;
  plain[32] = (plain[32] ?? 0) & 0x7f;
  if (Buffer.compare(plain.subarray(32), halfOrder) > 0)
    throw new MystError("BAD_SIGNATURE", "the signature's s is in the upper half of the order");
  try {
    return addressOf(curve.recover(digest, plain, recovery));
  } catch {
    throw new MystError("BAD_SIGNATURE", "the signature belongs to no key");
  }
}
