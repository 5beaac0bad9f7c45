import { base58btc } from "multiformats/bases/base58";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { addressOf } from "./signature.ts";

/** A secp256k1 PeerId: identity multihash (0x00, 37 bytes) of a protobuf {type: Secp256k1 (2), data: compressed key, 33 bytes}. */
const prefix = Uint8Array.of(0x00, 0x25, 0x08, 0x02, 0x12, 0x21);
const peerIdBytes = prefix.length + 33;

/**
 * The Ethereum address of a peer, worked out offline: a secp256k1 PeerId holds its public key. libp2p's own parser checks the key
 * in JavaScript, at some milliseconds each; here libsecp256k1 does.
 * @throws MALFORMED for anything but a secp256k1 PeerId in base58
 */
export function peerAddress(peerId: string): Hex {
  try {
    if (peerId.length > 60) throw new Error("too long");
    const bytes = base58btc.decode(`z${peerId}`);
    if (bytes.length !== peerIdBytes || prefix.some((byte, index) => bytes[index] !== byte)) throw new Error("another kind of key");
    return addressOf(bytes.subarray(prefix.length));
  } catch (cause) {
    throw new MystError("MALFORMED", `'${peerId.slice(0, 60)}' is no secp256k1 peer id`, { cause });
  }
}
