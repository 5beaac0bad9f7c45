import type { Hex } from "../lib/codec.ts";

export type BlockRef = { number: number; hash: Hex };

/**
 * Blocks up to which everything was read, oldest first. The last is the cursor; the others are where reading can go back to when
 * a reorg has undone it. They thin out with age: from one to the next it is about twice as far back.
 */
export type Trail = readonly BlockRef[];

/** What the chain says now: its newest final block, and the hash it has at each block of the trail (undefined: no such block). */
export type Seen = { head: BlockRef; hashes: readonly (Hex | undefined)[] };

export type PollStep = {
  trail: Trail;
  /** everything learned from blocks above this one is void */
  rolledBackTo: number | undefined;
  /** what to read next, both ends included; undefined when there is nothing new */
  read: { from: number; to: number } | undefined;
};

export type PollOptions = { startBlock: number; maxBlocks: number };

/** What to do after a look at the chain. */
export function pollStep(trail: Trail, { head, hashes }: Seen, { startBlock, maxBlocks }: PollOptions): PollStep {
  const standing = trail.filter(({ hash }, i) => hashes[i] === hash).length;
  // A head below the cursor alone proves nothing: an RPC may lag behind another. What it does have must agree with us.
  const behind = trail.filter(({ number }) => number > head.number).length;
  if (behind > 0 && standing === trail.length - behind) return { trail, rolledBackTo: undefined, read: undefined };
  const kept = trail.slice(0, commonLength(trail, hashes));
  const rolledBackTo = kept.length < trail.length ? (kept.at(-1)?.number ?? startBlock - 1) : undefined;
  const from = (kept.at(-1)?.number ?? startBlock - 1) + 1;
  const read = from > head.number ? undefined : { from, to: Math.min(head.number, from + maxBlocks - 1) };
  return { trail: kept, rolledBackTo, read };
}

const commonLength = (trail: Trail, hashes: Seen["hashes"]): number => {
  const first = trail.findIndex(({ hash }, i) => hashes[i] !== hash);
  return first < 0 ? trail.length : first;
};

/** The trail after everything up to `block` was read. A block goes once its older neighbour is at most twice as far back as the newer one. */
export function extendTrail(trail: Trail, block: BlockRef): Trail {
  const kept: BlockRef[] = [block];
  const backOf = (ref: BlockRef | undefined) => block.number - (ref?.number ?? Number.NEGATIVE_INFINITY);
  for (let i = trail.length - 1; i >= 0; i -= 1) {
    const needed = backOf(trail[i - 1]) > 2 * backOf(kept[0]);
    if (needed) kept.unshift(trail[i] as BlockRef);
  }
  return kept;
}
