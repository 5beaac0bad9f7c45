import type { Hex } from "../lib/codec.ts";
import { keccak256 } from "../lib/keccak.ts";

/** Where signed data counts: one contract on one chain. */
export type ClearingNetwork = { chainId: number; contract: Hex };

/** The EIP-712 domain of one contract, its separator worked out once. */
export type ClearingDomain = ClearingNetwork & { separator: Uint8Array };

export type PromiseData = {
  /** keccak256(provider ++ salt96) */
  channel: Hex;
  /** all ever promised on this channel, base units, 96 bits */
  cumulative: bigint;
  /** all ever promised by this signer to anybody, base units, 96 bits */
  total: bigint;
  /** never used for two contents, 64 bits */
  seq: bigint;
};
/** A provider's consent that anybody submits a promise for `feeBps` of it, paid to `to`, until `deadline` (s since the epoch). */
export type CheckData = { promiseHash: Hex; to: Hex; feeBps: number; deadline: bigint };
/** What both sides of a session agree on; signed off chain. */
export type TermsData = {
  session: Hex;
  signer: Hex;
  channel: Hex;
  perHour: bigint;
  perGiB: bigint;
  quantum: bigint;
  validUntil: bigint;
};

const typeHash = (type: string): Uint8Array => keccak256(Buffer.from(type));
const domainType = typeHash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
const promiseType = typeHash("Promise(bytes32 channel,uint96 cumulative,uint96 total,uint64 seq)");
const checkType = typeHash("Check(bytes32 promiseHash,address to,uint16 feeBps,uint40 deadline)");
const openType = typeHash("Open(address owner)");
const termsType = typeHash(
  "Terms(bytes32 session,address signer,bytes32 channel,uint96 perHour,uint96 perGiB,uint96 quantum,uint64 validUntil)",
);
const nameHash = typeHash("MystClearing");
const versionHash = typeHash("1");

/** EIP-712 `encodeData`: the type hash, then every member as one 32-byte word (numbers and hex right-aligned). */
function words(type: Uint8Array, members: (bigint | Hex | Uint8Array)[]): Uint8Array {
  const out = Buffer.alloc(32 * (members.length + 1));
  out.set(type, 0);
  members.forEach((member, i) => {
    const end = 32 * (i + 2);
    if (typeof member === "bigint") writeUint(out, member, end);
    else if (typeof member === "string") out.write(member.slice(2), end - (member.length - 2) / 2, "hex");
    else out.set(member, end - member.length);
  });
  return out;
}

/** Big-endian, ending before `end`; members are at most 128 bits wide, which two 64-bit writes cover. */
function writeUint(out: Buffer, value: bigint, end: number): void {
  out.writeBigUInt64BE(value & 0xffffffffffffffffn, end - 8);
  out.writeBigUInt64BE(value >> 64n, end - 16);
}

export const clearingDomain = ({ chainId, contract }: ClearingNetwork): ClearingDomain => ({
  chainId,
  contract,
  separator: keccak256(words(domainType, [nameHash, versionHash, BigInt(chainId), contract])),
});

/** keccak256(0x19 0x01 ‖ domain separator ‖ hashStruct), EIP-712. */
export function structDigest(separator: Uint8Array, struct: Uint8Array): Uint8Array {
  return keccak256(Buffer.concat([prefix, separator, keccak256(struct)]));
}
const digest = ({ separator }: ClearingDomain, struct: Uint8Array) => structDigest(separator, struct);
const prefix = Uint8Array.of(0x19, 0x01);

/** What a promise's hashStruct is the hash of: 160 bytes. */
export const promiseStruct = (promise: PromiseData): Uint8Array =>
  words(promiseType, [promise.channel, promise.cumulative, promise.total, promise.seq]);

export const promiseDigest = (domain: ClearingDomain, promise: PromiseData): Uint8Array => digest(domain, promiseStruct(promise));

export const checkDigest = (domain: ClearingDomain, check: CheckData): Uint8Array =>
  digest(domain, words(checkType, [check.promiseHash, check.to, BigInt(check.feeBps), check.deadline]));

/** What a signer signs once, to say who owns its account: the owner alone may close it and is paid out. */
export const openDigest = (domain: ClearingDomain, owner: Hex): Uint8Array => digest(domain, words(openType, [owner]));

export const termsDigest = (domain: ClearingDomain, terms: TermsData): Uint8Array =>
  digest(
    domain,
    words(termsType, [terms.session, terms.signer, terms.channel, terms.perHour, terms.perGiB, terms.quantum, terms.validUntil]),
  );
