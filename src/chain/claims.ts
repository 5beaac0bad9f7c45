import { type Log, parseEventLogs, toHex } from "viem";
import type { Hex } from "../lib/codec.ts";
import { channelId } from "../payments/promise.ts";
import type { Claim } from "../payments/settlement.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";

/** A 64-byte signature (r, vs) as the contract takes it. */
export const signatureWords = (signature: Uint8Array): { r: Hex; vs: Hex } => ({
  r: toHex(signature.subarray(0, 32)),
  vs: toHex(signature.subarray(32)),
});

/** A claim as the contract takes it. */
export const claimArgs = ({ signer, salt, cumulative, total, seq, signature }: Claim) => ({
  signer,
  salt: BigInt(toHex(salt)),
  cumulative,
  total,
  seq,
  signature: signatureWords(signature),
});

/**
 * What a transaction's logs say each claim was paid, in the order of the claims. The contract skips what is not good or was paid
 * already and says nothing of it: 0. Of two claims alike the first takes the event.
 */
export function paidOf(claims: Claim[], provider: Hex, contract: Hex, logs: Log[]): bigint[] {
  const paid = claims.map(() => 0n);
  const open = claims.map(({ signer, salt, cumulative }) => `${signer}/${channelId(provider, salt)}/${cumulative}` as string | undefined);
  const ours = logs.filter(({ address }) => address.toLowerCase() === contract);
  for (const { args } of parseEventLogs({ abi: mystClearingAbi, eventName: "Cleared", logs: ours })) {
    const index = open.indexOf(`${args.signer.toLowerCase()}/${args.channel}/${args.cumulative}`);
    if (index < 0) continue;
    paid[index] = args.paid;
    open[index] = undefined;
  }
  return paid;
}

/** What a settlement's transaction has left in the contract because the token did not let it through, base units. */
export const creditedOf = (contract: Hex, logs: Log[]): bigint =>
  parseEventLogs({ abi: mystClearingAbi, eventName: "Credited", logs: logs.filter(({ address }) => address.toLowerCase() === contract) })
    .map(({ args }) => args.amount)
    .reduce((sum, amount) => sum + amount, 0n);
