import { larger } from "../../lib/bigint.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Hex } from "../../lib/codec.ts";
import type { Sight } from "../channel.ts";
import type { ProviderLedger, Watch } from "../provider-ledger.ts";
import type { HeadBook } from "./book.ts";
import { maxChannels, noHeads, totalBefore } from "./evidence.ts";
import { idleAfterMs } from "./limits.ts";
import type { Telling } from "./telling.ts";

export type SightDeps = {
  book: Pick<HeadBook, "of" | "take" | "counted">;
  ledger: Pick<ProviderLedger, "channelsOf">;
  telling: Pick<Telling, "seen">;
  clock: Pick<Clock, "nowMs">;
  /** it signs more than can be looked at */
  isLoud(signer: Hex): boolean;
  /** N: exits that may give credit to the same payers, this one included */
  exits(): number;
};

/** What is known of a payer when a promise of it is judged: from gossip, the chain, and our own ledger. */
export function createWatch({ book, ledger, telling, clock, isLoud, exits }: SightDeps): Watch {
  return {
    sight: (ref, promise): Sight => {
      const { signer, channel } = ref;
      const heads = book.of(signer) ?? noHeads;
      const isCrowded = heads.crowded || (!heads.channels.has(channel) && heads.channels.size >= maxChannels);
      const nowMs = clock.nowMs();
      let othersUnseen = 0n;
      for (const other of ledger.channelsOf(signer)) {
        if (other.channel === channel) continue;
        const seen = telling.seen(other);
        if (!seen || nowMs - seen.atMs > idleAfterMs)
          othersUnseen += larger(0n, other.cumulative - larger(other.paid, seen?.cumulative ?? 0n));
      }
      return {
        standing: heads.evidence ? "conflict" : isCrowded ? "crowded" : isLoud(signer) ? "loud" : "clear",
        totalBefore: totalBefore(heads, promise.seq),
        total: heads.total,
        seen: telling.seen(ref),
        othersUnseen,
        channels: book.counted(signer, channel) + 1,
        exits: exits(),
      };
    },
    take: (signer, promise) => book.take(signer, promise),
  };
}
