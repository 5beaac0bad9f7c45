import { larger } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";

type Channel = { signer: Hex; cumulative: bigint; paid: bigint };

/** What payers that never cleared anything here owe in all, kept up with every change, for it is asked of every promise. */
export function createOwing() {
  const payers = new Map<Hex, { unsettled: bigint; paid: bigint }>();
  let strangers = 0n;
  const strangersPart = (signer: Hex): bigint => {
    const payer = payers.get(signer);
    return payer && payer.paid === 0n ? payer.unsettled : 0n;
  };
  return {
    /** A channel was like `before` and is like `after`; undefined: it was not, or is not any more. */
    changed: (before: Channel | undefined, after: Channel | undefined): void => {
      const signer = (before ?? after)?.signer;
      if (signer === undefined) return;
      const payer = payers.get(signer) ?? { unsettled: 0n, paid: 0n };
      strangers -= strangersPart(signer);
      payer.unsettled += unsettledOn(after) - unsettledOn(before);
      payer.paid += (after?.paid ?? 0n) - (before?.paid ?? 0n);
      payers.set(signer, payer);
      strangers += strangersPart(signer);
    },
    /** Owed by the others that never cleared; undefined when this payer has. */
    strangersBeside: (signer: Hex): bigint | undefined =>
      (payers.get(signer)?.paid ?? 0n) > 0n ? undefined : strangers - strangersPart(signer),
  };
}

const unsettledOn = (channel: Channel | undefined): bigint => (channel ? larger(channel.cumulative - channel.paid, 0n) : 0n);
