import { larger } from "../../lib/bigint.ts";
import type { Hex } from "../../lib/codec.ts";
import type { PromiseData } from "../eip712.ts";
import { samePromise } from "../promise.ts";

/** What a payer has signed for certain: a promise whose signature was checked, or one that the contract has cleared, in this block. */
export type Head = PromiseData & ({ signature: Uint8Array; block?: undefined } | { signature?: undefined; block: number });

/** Of one channel: the head with the highest cumulative that was seen, and the one that was cleared last. */
export type ChannelHeads = { seen?: Head; cleared?: Head };

/** All that is held of one signer. */
export type SignerHeads = {
  channels: ReadonlyMap<Hex, ChannelHeads>;
  /** the head with the highest seq, whatever becomes of its channel */
  newest: Head | undefined;
  /** the highest total that was seen */
  total: bigint;
  /** over all channels, the highest cumulative of each */
  sum: bigint;
  /** there are more channels than are held */
  crowded: boolean;
  /** heads that an honest payer cannot have signed all of */
  evidence: Head[] | undefined;
};

/** Channels of one signer that are held; who has more gets no credit. */
export const maxChannels = 256;

export const noHeads: SignerHeads = { channels: new Map(), newest: undefined, total: 0n, sum: 0n, crowded: false, evidence: undefined };

/**
 * What a head tells that is not known: `news`, more money on its channel; `conflict`, that its payer lies; `crowded`, that it has more
 * channels than are held; or nothing, `known`.
 */
export type HeadRelation = "known" | "news" | "conflict" | "crowded";

/** How a head stands to what is held. Needs no signature: whether to look at that depends on this. */
export function relationOf(heads: SignerHeads, head: Head): HeadRelation {
  const held = heads.channels.get(head.channel);
  if (!held && heads.channels.size >= maxChannels) return "crowded";
  if ([held?.seen, held?.cleared, heads.newest].some((one) => one && samePromise(one, head))) return "known";
  if (!heads.evidence && evidenceWith(heads, head)) return "conflict";
  return head.cumulative > cumulativeOn(held) ? "news" : "known";
}

/** Takes in a head, whose signature is known to be good, or which the contract has cleared. */
export function takeHead(heads: SignerHeads, head: Head): SignerHeads {
  const held = heads.channels.get(head.channel);
  if (!held && heads.channels.size >= maxChannels) return heads.crowded ? heads : { ...heads, crowded: true };
  const evidence = heads.evidence ?? evidenceWith(heads, head);
  const before = cumulativeOn(held);
  const next = { ...held };
  if (head.block !== undefined) {
    if (head.cumulative > (held?.cleared?.cumulative ?? -1n)) next.cleared = head;
  } else if (head.cumulative > (held?.seen?.cumulative ?? -1n)) next.seen = head;
  return {
    ...heads,
    channels: new Map(heads.channels).set(head.channel, next),
    newest: heads.newest && heads.newest.seq >= head.seq ? heads.newest : head,
    total: larger(heads.total, head.total),
    sum: heads.sum - before + cumulativeOn(next),
    evidence,
  };
}

/** The highest total that was seen in heads with a lower seq than this. A payer's total never falls. */
export function totalBefore(heads: SignerHeads, seq: bigint): bigint {
  if (!heads.newest || heads.newest.seq < seq) return heads.total;
  return heldIn(heads)
    .filter((head) => head.seq < seq)
    .reduce((most, { total }) => larger(most, total), 0n);
}

/** The highest cumulative that is known of a channel. */
const cumulativeOn = (held: ChannelHeads | undefined): bigint => larger(held?.seen?.cumulative ?? 0n, held?.cleared?.cumulative ?? 0n);

/**
 * The signer as it stands once what the contract cleared above block `last` is void. What was seen stays, for it is signed; evidence
 * stays unless it needs what is void.
 */
export function undoHeads(heads: SignerHeads, last: number): SignerHeads {
  const stands = (head: Head | undefined): head is Head => head !== undefined && (head.block === undefined || head.block <= last);
  const left = heldIn(heads).filter(stands);
  const evidence = heads.evidence?.every(stands) ? heads.evidence : undefined;
  return left.reduce(takeHead, { ...noHeads, total: 0n, crowded: heads.crowded, evidence });
}

/** Everything that is held, each once. */
export function heldIn({ channels, newest }: SignerHeads): Head[] {
  const held = [...channels.values()].flatMap(({ seen, cleared }) => [seen, cleared]).filter((head) => head !== undefined);
  return newest && !held.includes(newest) ? [...held, newest] : held;
}

/**
 * What together shows that the payer lies, once this head is taken: one seq with two contents, or a head s whose total is under what the
 * payer had promised by then: sum over channels of max{cumulative : seq <= s} > total(s). An honest payer's total is that sum or more,
 * so what of its heads is missing, late or seen twice can only lower the sum.
 */
function evidenceWith(heads: SignerHeads, head: Head): Head[] | undefined {
  if (head.seq > (heads.newest?.seq ?? -1n)) {
    // it changes the sum of no head but its own
    const before = cumulativeOn(heads.channels.get(head.channel));
    if (heads.sum - before + larger(before, head.cumulative) <= head.total) return undefined;
  }
  return findEvidence([...heldIn(heads), head]);
}

export function findEvidence(held: readonly Head[]): Head[] | undefined {
  const bySeq = [...held].sort((a, b) => (a.seq < b.seq ? -1 : a.seq > b.seq ? 1 : 0));
  const highest = new Map<Hex, Head>();
  let sum = 0n;
  for (let from = 0; from < bySeq.length; ) {
    const { seq } = bySeq[from] as Head;
    const same: Head[] = [];
    for (; from < bySeq.length && bySeq[from]?.seq === seq; from += 1) same.push(bySeq[from] as Head);
    const first = same[0] as Head;
    const other = same.find((head) => !samePromise(head, first));
    if (other) return [first, other];
    const before = highest.get(first.channel)?.cumulative ?? 0n;
    if (first.cumulative > before) {
      highest.set(first.channel, first);
      sum += first.cumulative - before;
    }
    if (sum > first.total) return [...new Set([first, ...fewest([...highest.values()], first)])];
  }
  return undefined;
}

/** As few of them as add up to more than the head's total. */
function fewest(heads: Head[], { total }: Head): Head[] {
  const chosen: Head[] = [];
  let sum = 0n;
  for (const head of heads.sort((a, b) => (a.cumulative > b.cumulative ? -1 : 1))) {
    if (sum > total) break;
    sum += head.cumulative;
    chosen.push(head);
  }
  return chosen;
}
