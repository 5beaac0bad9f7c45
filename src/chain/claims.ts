import { concat, encodePacked, type Log, parseEventLogs, toHex } from "viem";
import type { Hex } from "../lib/codec.ts";
import { channelId } from "../payments/promise.ts";
import type { Claim, ClaimCheck } from "../payments/settlement.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";

/** A 64-byte signature (r, vs) as the contract takes it. */
export const signatureWords = (signature: Uint8Array): { r: Hex; vs: Hex } => ({
  r: toHex(signature.subarray(0, 32)),
  vs: toHex(signature.subarray(32)),
});

type Content = { cumulative: bigint; total: bigint; seq: bigint };

/** What a promise says, in the one word in which the contract takes and logs it: cumulative ‖ total ‖ seq. */
export const packContent = ({ cumulative, total, seq }: Content): Hex =>
  encodePacked(["uint96", "uint96", "uint64"], [cumulative, total, seq]);

/** The word of `packContent` taken apart. */
export function unpackContent(word: Hex): Content {
  const bits = BigInt(word);
  return { cumulative: bits >> 160n, total: BigInt.asUintN(96, bits >> 64n), seq: BigInt.asUintN(64, bits) };
}

/** A claim as the contract takes it: signer ‖ salt in one word, what was promised in another. */
export const claimArgs = (claim: Claim) => ({
  payer: concat([claim.signer, toHex(claim.salt)]),
  content: packContent(claim),
  signature: signatureWords(claim.signature),
});

/** A claim's check as the contract takes it. */
export const checkArgs = ({ check }: Claim) => {
  const { provider, to, feeBps, deadline, signature } = check as ClaimCheck;
  return { provider, to, feeBps, deadline: Number(deadline), signature: signatureWords(signature) };
};

/**
 * What a transaction's logs say each claim was paid, in the order of the claims. The contract skips what is not good or was paid
 * already and says nothing of it: 0. Of two claims alike the first takes the event. `provider` is whose those are that bear no check.
 */
export function paidOf(claims: Claim[], provider: Hex, contract: Hex, logs: Log[]): bigint[] {
  const paid = claims.map(() => 0n);
  const open = claims.map((claim): string | undefined => {
    const channel = channelId(claim.check?.provider ?? provider, claim.salt);
    return `${claim.signer}/${channel}/${packContent(claim)}`;
  });
  const ours = logs.filter(({ address }) => address.toLowerCase() === contract);
  for (const { args } of parseEventLogs({ abi: mystClearingAbi, eventName: "Cleared", logs: ours })) {
    const index = open.indexOf(`${args.signer.toLowerCase()}/${args.channel}/${args.content}`);
    if (index < 0) continue;
    paid[index] = args.paid;
    open[index] = undefined;
  }
  return paid;
}

/**
 * What a transaction has left in the contract because the token did not let it through, base units; `to`: for this address alone,
 * where others are credited in any case.
 */
export const creditedOf = (contract: Hex, logs: Log[], to?: Hex): bigint =>
  parseEventLogs({ abi: mystClearingAbi, eventName: "Credited", logs: logs.filter(({ address }) => address.toLowerCase() === contract) })
    .filter(({ args }) => to === undefined || args.to.toLowerCase() === to)
    .map(({ args }) => args.amount)
    .reduce((sum, amount) => sum + amount, 0n);
