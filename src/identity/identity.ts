import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import type { Secp256k1PrivateKey } from "@libp2p/interface";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import type { Hex } from "../lib/codec.ts";
import { addressOf, publicKeyOf, signDigest } from "./signature.ts";

/** One secp256k1 key is the libp2p peer and the Ethereum account at once: a Noise handshake proves the address. */
export type Identity = {
  /** base58, 16Uiu2HA... */
  peerId: string;
  /** lower-case hex of the Ethereum address */
  address: Hex;
  /** compressed, 33 bytes */
  publicKey: Uint8Array;
  /** Signs a 32-byte digest: 64 bytes (r, vs) of EIP-2098, low s. */
  sign(digest: Uint8Array): Uint8Array;
  /** for the libp2p host */
  libp2pKey: Secp256k1PrivateKey;
  /** 32 bytes; for the keystore and the chain client only. Never log it. */
  exportKey(): Uint8Array;
};

/** @throws KEYSTORE_INVALID when `key` is no secp256k1 private key */
export function createIdentity(key: Uint8Array): Identity {
  const publicKey = publicKeyOf(key);
  const libp2pKey = privateKeyFromRaw(key) as Secp256k1PrivateKey;
  return {
    peerId: peerIdFromPrivateKey(libp2pKey).toString(),
    address: addressOf(publicKey),
    publicKey,
    sign: (digest) => signDigest(digest, key),
    libp2pKey,
    exportKey: () => Uint8Array.from(key),
  };
}
