import type { Clock } from "../../lib/clock.ts";
import type { Hex } from "../../lib/codec.ts";
import { isMystError } from "../../lib/errors.ts";
import type { Validity } from "../../network/network.ts";
import { createQuota } from "../../network/quota.ts";
import { staleAfterMs } from "../channel.ts";
import type { SignedPromise } from "../promise.ts";
import type { FindSigners } from "../signers.ts";
import type { HeadBook } from "./book.ts";
import type { Depositors } from "./depositors.ts";
import { findEvidence } from "./evidence.ts";
import { readEvidence, readHead, type SignedHead, shardOf } from "./head.ts";
import { type Checked, createLanes } from "./lanes.ts";

export type ListeningDeps = {
  book: Pick<HeadBook, "of" | "relation" | "take" | "accuse">;
  depositors: Pick<Depositors, "has">;
  findSigners: FindSigners;
  clock: Clock;
  /** reads the contract's news now */
  look(): Promise<void>;
  random?: () => number;
};

type Verdict = { validity: Validity; later?: Promise<Validity> };

/** Heads of one signer whose signature was looked at. An honest one has as many only with dozens of exits at once. */
const signerQuota = { burst: 256, perSecond: 64 };
/** a signer over it gets no credit for so long */
const loudMs = 600_000;
/** For heads of a signer that is not known the contract is read again, as often as this at most ... */
const lookSpacingMs = 2_000;
/** ... and for so many of one neighbour. */
const lookQuota = { burst: 4, perSecond: 1 / 30 };
const mostLooking = 64;

const isMalformed = (error: unknown) => isMystError(error, "MALFORMED");

/** Who looks at what others tell. Cheapest checks first, the signature last; what is taken in is taken in at once, whenever it is passed on. */
export function createListening({ book, depositors, findSigners, clock, look, random }: ListeningDeps) {
  const said = createQuota(clock, signerQuota);
  const asked = createQuota(clock, lookQuota);
  const loud = new Map<Hex, number>();
  let looking: Promise<void> | undefined;
  let lookedMs = Number.NEGATIVE_INFINITY;
  let waiting = 0;

  const signedBy = batched(findSigners);
  const check = async ({ signer, promise }: SignedHead): Promise<Checked> => {
    const how = book.relation(signer, promise);
    if (how === "known") return { validity: "ignore" };
    if (!said.has(signer)) {
      loud.set(signer, clock.nowMs());
      return { validity: "ignore" };
    }
    if ((await signedBy(promise)) !== signer) return { validity: "reject" };
    said.take(signer);
    book.take(signer, promise);
    return how === "crowded" ? { validity: "ignore" } : { validity: "accept", urgent: how === "conflict" };
  };
  const lanes = createLanes({ clock, check, ...(random && { random }) });

  const lookSoon = (): Promise<void> => {
    looking ??= (async () => {
      await clock.sleep(Math.max(0, lookedMs + lookSpacingMs - clock.nowMs()));
      lookedMs = clock.nowMs();
      await look();
    })()
      .catch(() => undefined)
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  /** Its deposit may be a moment old, and we the last to hear of it. */
  const becomesKnown = async (signer: Hex): Promise<boolean> => {
    waiting += 1;
    try {
      await lookSoon();
      return await depositors.has(signer);
    } finally {
      waiting -= 1;
    }
  };
  const isKnown = async (signer: Hex) => book.of(signer) !== undefined || (await depositors.has(signer));
  const take = (head: SignedHead, from: string, how: "conflict" | "other"): Promise<Validity> =>
    how === "conflict" ? check(head).then(({ validity }) => validity) : lanes.offer(head, from);

  return {
    isLoud: (signer: Hex): boolean => {
      const sinceMs = loud.get(signer);
      if (sinceMs === undefined) return false;
      const isStill = clock.nowMs() - sinceMs < loudMs;
      if (!isStill) loud.delete(signer);
      return isStill;
    },
    /** What to do with a head that a neighbour tells in this shard. */
    head: async (bytes: Uint8Array, from: string, shard: number): Promise<Verdict> => {
      let head: SignedHead;
      try {
        head = readHead(bytes);
      } catch (error) {
        return { validity: isMalformed(error) ? "reject" : "ignore" };
      }
      const { signer, promise } = head;
      if (shardOf(signer) !== shard) return { validity: "reject" };
      if (promise.seq > BigInt(clock.nowMs() + staleAfterMs) << 20n) return { validity: "ignore" };
      if (!(await isKnown(signer))) {
        if (waiting >= mostLooking || !asked.take(from)) return { validity: "ignore" };
        const later = becomesKnown(signer).then((known) => (known ? take(head, from, "other") : "ignore"));
        return { validity: "accept", later };
      }
      const how = book.relation(signer, promise);
      if (how === "known") return { validity: "ignore" };
      return { validity: "accept", later: take(head, from, how === "conflict" ? how : "other") };
    },
    /** What to do with evidence that a neighbour tells. */
    evidence: async (bytes: Uint8Array): Promise<Verdict> => {
      let signer: Hex;
      let promises: SignedPromise[];
      try {
        ({ signer, promises } = readEvidence(bytes));
      } catch (error) {
        return { validity: isMalformed(error) ? "reject" : "ignore" };
      }
      if (!findEvidence(promises)) return { validity: "reject" };
      if (!(await isKnown(signer)) || book.of(signer)?.evidence) return { validity: "ignore" };
      const signers = await findSigners(promises);
      if (signers.some((by) => by !== signer)) return { validity: "reject" };
      book.accuse(signer, promises);
      return { validity: "accept" };
    },
    stop: lanes.stop,
  };
}

/** Those that are asked for in one turn of the event loop are looked at together. */
function batched(findSigners: FindSigners): (promise: SignedPromise) => Promise<Hex | undefined> {
  let gathered: { promise: SignedPromise; resolve(signer: Hex | undefined): void; reject(error: unknown): void }[] = [];
  const run = () => {
    const all = gathered;
    gathered = [];
    findSigners(all.map(({ promise }) => promise)).then(
      (signers) => {
        for (const [i, { resolve }] of all.entries()) resolve(signers[i]);
      },
      (error) => {
        for (const { reject } of all) reject(error);
      },
    );
  };
  return (promise) =>
    new Promise((resolve, reject) => {
      gathered.push({ promise, resolve, reject });
      if (gathered.length === 1) setImmediate(run);
    });
}
