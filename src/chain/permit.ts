import { compactSignatureToSignature, concat, encodeAbiParameters, keccak256, parseCompactSignature, toBytes, toHex } from "viem";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { testTokenAbi } from "./abi/test-token.ts";
import type { Signer } from "./chain.ts";
import type { Client } from "./endpoints.ts";

/** What a token's EIP-712 domain and its count for this owner are, when it takes permits (ERC-2612) and says so (ERC-5267). */
export type PermitTerms = { separator: Hex; nonce: bigint; deadline: bigint };

export type Permit = { deadline: bigint; v: number; r: Hex; s: Hex };

const typeHash = (text: string): Hex => keccak256(toBytes(text));
const domainType = typeHash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
const permitType = typeHash("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
/** name, version, chainId and verifyingContract, and nothing else: as ERC-5267 numbers them */
const usualFields = "0x0f";
/** s that a permit is good for: one that is mined later finds no allowance, and costs its gas */
const validFor = 86_400n;
const absent = () => undefined;

/**
 * Undefined when the token says nothing of permits, or names another contract or chain than its own: only what this token alone can
 * use is ever signed, whatever an RPC tells.
 */
export async function permitTerms(client: Client, { token, chainId }: NetworkConfig, owner: Hex): Promise<PermitTerms | undefined> {
  const contract = { address: token.address, abi: testTokenAbi } as const;
  const [domain, nonce, { timestamp }] = await Promise.all([
    client.readContract({ ...contract, functionName: "eip712Domain" }).catch(absent),
    client.readContract({ ...contract, functionName: "nonces", args: [owner] }).catch(absent),
    client.getBlock(),
  ]);
  if (domain === undefined || nonce === undefined) return undefined;
  const [fields, name, version, itsChain, verifier] = domain;
  if (fields !== usualFields || itsChain !== BigInt(chainId) || verifier.toLowerCase() !== token.address) return undefined;
  const words = [domainType, typeHash(name), typeHash(version), itsChain, verifier] as const;
  const types = [{ type: "bytes32" }, { type: "bytes32" }, { type: "bytes32" }, { type: "uint256" }, { type: "address" }] as const;
  return { separator: keccak256(encodeAbiParameters(types, words)), nonce, deadline: timestamp + validFor };
}

/** The owner's yes to the spender's taking `value`, once. */
export function signPermit(owner: Signer, spender: Hex, value: bigint, { separator, nonce, deadline }: PermitTerms): Permit {
  const types = [
    { type: "bytes32" },
    { type: "address" },
    { type: "address" },
    { type: "uint256" },
    { type: "uint256" },
    { type: "uint256" },
  ] as const;
  const struct = keccak256(encodeAbiParameters(types, [permitType, owner.address, spender, value, nonce, deadline]));
  const digest = keccak256(concat(["0x1901", separator, struct]), "bytes");
  const { r, s, yParity = 0 } = compactSignatureToSignature(parseCompactSignature(toHex(owner.sign(digest))));
  return { deadline, v: yParity + 27, r, s };
}
