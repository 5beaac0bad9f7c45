import { z } from "zod";
import type { Identity } from "../identity/identity.ts";
import { recoverAddress } from "../identity/signature.ts";
import { fixedBytes, type Hex, wireAddress, wireUint } from "../lib/codec.ts";
import { type CheckData, type ClearingDomain, checkDigest, type PromiseData, promiseDigest } from "./eip712.ts";

/** What a check says beside which promise it is for. */
export type CheckTerms = Omit<CheckData, "promiseHash">;
/** A check with its provider's 64-byte signature: whoever submits its promise gets the fee, `to` the rest. */
export type SignedCheck = CheckTerms & { signature: Uint8Array };

export const allBps = 10_000n;

/** What a submitter gets of what a claim is paid, as the contract works it out. Base units. */
export const feeOf = (paid: bigint, feeBps: number): bigint => (paid * BigInt(feeBps)) / allBps;

const digestOf = (domain: ClearingDomain, promise: PromiseData, { to, feeBps, deadline }: CheckTerms): Uint8Array =>
  checkDigest(domain, { promiseHash: `0x${Buffer.from(promiseDigest(domain, promise)).toString("hex")}`, to, feeBps, deadline });

export const signCheck = (
  domain: ClearingDomain,
  identity: Pick<Identity, "sign">,
  promise: PromiseData,
  { to, feeBps, deadline }: CheckTerms,
): SignedCheck => ({ to, feeBps, deadline, signature: identity.sign(digestOf(domain, promise, { to, feeBps, deadline })) });

/** Who signed it, for this promise; compare it with the provider. @throws BAD_SIGNATURE when it is no signature at all */
export const checkSigner = (domain: ClearingDomain, promise: PromiseData, check: SignedCheck): Hex =>
  recoverAddress(digestOf(domain, promise, check), check.signature);

/** A check as it stands in a message or on disk. */
export const wireCheck = z.strictObject({
  to: wireAddress,
  feeBps: z.int().min(0).max(Number(allBps)),
  /** seconds since the epoch */
  deadline: wireUint(40),
  signature: fixedBytes(64),
});
