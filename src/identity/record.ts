import type { Hex } from "../lib/codec.ts";
import { keccak256 } from "../lib/keccak.ts";
import type { Identity } from "./identity.ts";
import { recoverAddress } from "./signature.ts";

/** What a signed record is and which network it belongs to. A signature made for one domain is none in another. */
export type RecordDomain = {
  /** for example "offer"; printable ASCII */
  kind: string;
  network: { chainId: number; contract: Hex };
};

/**
 * keccak256("mystnode <kind> v1" ‖ 0x00 ‖ chain id, 8 bytes ‖ contract, 20 bytes ‖ body). The parts before the body have one reading
 * only, and no EIP-712 digest (0x19 0x01 ...), transaction or personal message begins like it.
 */
export function recordDigest(domain: RecordDomain, body: Uint8Array): Uint8Array {
  const head = Buffer.from(`mystnode ${domain.kind} v1\0`, "latin1");
  const network = Buffer.alloc(28);
  network.writeBigUInt64BE(BigInt(domain.network.chainId));
  network.write(domain.network.contract.slice(2), 8, "hex");
  return keccak256(Buffer.concat([head, network, body]));
}

/** Signs a record that never goes to the chain (an offer, a peer record): 64 bytes (r, vs). */
export const signRecord = (identity: Pick<Identity, "sign">, domain: RecordDomain, body: Uint8Array): Uint8Array =>
  identity.sign(recordDigest(domain, body));

/**
 * The address that signed this body for this domain. For any other domain or body it is another, random address:
 * compare it with the one you expect.
 * @throws BAD_SIGNATURE when it is no signature at all
 */
export const recordSigner = (domain: RecordDomain, body: Uint8Array, signature: Uint8Array): Hex =>
  recoverAddress(recordDigest(domain, body), signature);
