import { publicKeyFromMultihash } from "@libp2p/crypto/keys";
import { peerIdFromString } from "@libp2p/peer-id";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { addressOf } from "./signature.ts";

/**
 * The Ethereum address of a peer, worked out offline: a secp256k1 PeerId holds its public key.
 * @throws MALFORMED for anything but a secp256k1 PeerId
 */
export function peerAddress(peerId: string): Hex {
  try {
    const parsed = peerIdFromString(peerId);
    if (parsed.type !== "secp256k1") throw new Error(`a ${parsed.type} key`);
    return addressOf(publicKeyFromMultihash(parsed.toMultihash() as never).raw);
  } catch (cause) {
    throw new MystError("MALFORMED", `'${peerId.slice(0, 60)}' is no secp256k1 peer id`, { cause });
  }
}
