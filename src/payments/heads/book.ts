import type { Clock } from "../../lib/clock.ts";
import type { Hex } from "../../lib/codec.ts";
import { asMystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import type { Op, Store } from "../../lib/store.ts";
import type { SignedPromise } from "../promise.ts";
import { createShelf, type HeldSigner } from "./book-shelf.ts";
import { type Head, type HeadRelation, noHeads, relationOf, type SignerHeads, takeHead, undoHeads } from "./evidence.ts";
import { channelCountsMs } from "./limits.ts";

/** A payer that has signed what cannot all be true. */
export type Conflict = { signer: Hex; heads: Head[]; sinceMs: number };

/** What the contract has cleared: its block, and what the claim said. */
export type ClearedHead = { signer: Hex; channel: Hex; cumulative: bigint; total: bigint; seq: bigint; block: number };

/** Everything that is known of what payers have signed, whoever it was promised to. In memory, and on disk. */
export type HeadBook = {
  /** undefined: nothing was ever seen of it */
  of(signer: Hex): SignerHeads | undefined;
  /** how a head stands to what is known; its signature need not be known to be good */
  relation(signer: Hex, promise: SignedPromise): HeadRelation;
  /** Takes in what the signer has signed for certain. On disk at once when it makes a conflict, else soon. */
  take(signer: Hex, promise: SignedPromise): void;
  /** Takes in heads of a signer that are known to be evidence, and to be signed by it. */
  accuse(signer: Hex, heads: SignedPromise[]): void;
  /**
   * Takes in what the contract has cleared, after what it had cleared above `undoneAbove` is forgotten. @returns what to write, in one
   * batch with the place up to which was read
   */
  takeCleared(undoneAbove: number | undefined, cleared: ClearedHead[]): Op[];
  /** channels of a signer, but this one, that have told of anything new lately */
  counted(signer: Hex, but: Hex): number;
  conflicts(): Conflict[];
  /** called once for each payer that is found out, also those that were before this run; resolves what it waits for on its own */
  onConflict(listener: (conflict: Conflict) => void): () => void;
  /** Writes what has changed. */
  save(): Promise<void>;
};

export type HeadBookDeps = {
  store: Pick<Store, "table" | "write" | "writeLazily">;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
  /** whoever owes us, which nothing is ever forgotten of */
  owes(signer: Hex): boolean;
};

export type HeadBookOptions = {
  /** channels held of all signers together; default 65,536 */
  maxChannels?: number;
  /** 0 to below 1 */
  random?(): number;
};

/** A head counts a channel as in use only when it was signed lately too: an old one may be told of by anybody at any time. */
const signedWithinMs = 2 * channelCountsMs;

export async function openHeadBook(deps: HeadBookDeps, options: HeadBookOptions = {}): Promise<HeadBook> {
  const { clock, log } = deps;
  const shelf = await createShelf(deps, options);
  const listeners = new Set<(conflict: Conflict) => void>();

  const conflictOf = (signer: Hex, { heads, sinceMs }: HeldSigner): Conflict[] =>
    heads.evidence && sinceMs !== undefined ? [{ signer, heads: heads.evidence, sinceMs }] : [];
  /** Puts what is known of a signer in place of what was; tells of a conflict that is new. @returns whether there is one */
  const put = (signer: Hex, heads: SignerHeads, channel: Hex | undefined, isNews: boolean): boolean => {
    const before = shelf.get(signer);
    const sinceMs = heads.evidence && (before?.sinceMs ?? clock.nowMs());
    const heard = before?.heard ?? new Map<Hex, number>();
    if (channel && isNews) heard.set(channel, clock.nowMs());
    const held: HeldSigner = { heads, heard, sinceMs };
    shelf.put(signer, held, channel);
    const [conflict] = before?.heads.evidence ? [] : conflictOf(signer, held);
    if (conflict) for (const listener of listeners) listener(conflict);
    return conflict !== undefined;
  };
  /** A conflict is on disk at once. */
  const putNow = (signer: Hex, ...rest: [SignerHeads, Hex | undefined, boolean]) => {
    if (!put(signer, ...rest)) return;
    const written = deps.store.write(shelf.opsOf(signer));
    written.catch((error) => log.error("a conflict is not on disk", { signer, code: asMystError(error).code }));
  };
  const of = (signer: Hex): SignerHeads => shelf.get(signer)?.heads ?? noHeads;
  const relation = (signer: Hex, head: Head) => relationOf(of(signer), head);

  return {
    of: (signer) => shelf.get(signer)?.heads,
    relation,
    take: (signer, promise) => {
      const how = relation(signer, promise);
      if (how === "known") return;
      putNow(signer, takeHead(of(signer), promise), promise.channel, how === "news");
    },
    accuse: (signer, heads) => {
      if (!of(signer).evidence) putNow(signer, { ...of(signer), evidence: heads }, undefined, false);
    },
    takeCleared: (undoneAbove, cleared) => {
      const touched = new Set<Hex>();
      if (undoneAbove !== undefined)
        for (const [signer, { heads }] of shelf.all()) {
          const left = undoHeads(heads, undoneAbove);
          if (left.channels.size === heads.channels.size && !changed(heads, left)) continue;
          put(signer, left, undefined, false);
          touched.add(signer);
        }
      for (const { signer, channel, cumulative, total, seq, block } of cleared) {
        put(signer, takeHead(of(signer), { channel, cumulative, total, seq, block }), channel, false);
        touched.add(signer);
      }
      return [...touched].flatMap((signer) => shelf.opsOf(signer));
    },
    counted: (signer, but) => {
      const held = shelf.get(signer);
      if (!held) return 0;
      const nowMs = clock.nowMs();
      const since = BigInt(nowMs - signedWithinMs) << 20n;
      let count = 0;
      for (const [channel, atMs] of held.heard)
        if (channel !== but && nowMs - atMs <= channelCountsMs && (held.heads.channels.get(channel)?.seen?.seq ?? 0n) >= since) count += 1;
      return count;
    },
    conflicts: () => [...shelf.all()].flatMap(([signer, held]) => conflictOf(signer, held)),
    onConflict: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    save: shelf.save,
  };
}

const changed = (before: SignerHeads, after: SignerHeads): boolean =>
  before.sum !== after.sum ||
  before.newest !== after.newest ||
  (before.evidence === undefined) !== (after.evidence === undefined) ||
  [...before.channels].some(([channel, { cleared }]) => after.channels.get(channel)?.cleared !== cleared);
