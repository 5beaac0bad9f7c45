import type { Hex } from "../lib/codec.ts";
import type { Acceptance } from "./channel.ts";
import type { SignedPromise } from "./promise.ts";
import type { FindSigners } from "./signers.ts";

/** A promise that waits for its signature to be checked. */
export type Arrival = {
  signer: Hex;
  promise: SignedPromise;
  /** Decides on it once it is known who signed; called in the order of arrival. */
  conclude(by: Hex | undefined): Promise<Acceptance>;
};

/**
 * While several come at a time, one check begins so long after the last at the earliest. Each wakes a thread for the signatures, one for
 * LevelDB and one for the mark, which costs as much as checking ten promises; what is bought ahead lasts longer, so nobody stands still.
 */
export const spacingMs = 80;
/** So many need not wait for more. */
export const enough = 64;

type Waiting = Arrival & { resolve(acceptance: Acceptance): void; reject(error: unknown): void };
/** What is checked, and what came before it and counts as checked with it. */
type Group = { newest: Waiting; older: Waiting[] };

export type IntakeOptions = {
  /** a clock that never goes back; default `performance.now` */
  nowMs?(): number;
  /** Waits so long, or until what it hands to `onStop` is called; default by a timer. */
  rest?(ms: number, onStop: (stop: () => void) => void): Promise<void>;
};

/**
 * Checks what has come together, while more comes; who comes alone never waits for others. Of several promises of one channel only the
 * newest is checked and kept: what it covers counts as accepted with it, and is decided on by itself when it is refused.
 */
export function createIntake(
  findSigners: FindSigners,
  { nowMs = () => performance.now(), rest = restOr }: IntakeOptions = {},
): { check(arrival: Arrival): Promise<Acceptance> } {
  let arrived: Waiting[] = [];
  let busy = false;
  /** neither on disk nor refused */
  let underWay = 0;
  let several = false;
  let beganMs = Number.NEGATIVE_INFINITY;
  let hurry: () => void = () => undefined;

  /** What comes in one turn of the event loop goes together, by however many streams; while several are under way, what comes in a moment. */
  const gather = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const restMs = beganMs + spacingMs - nowMs();
    const mayWait = (several || underWay > 1) && arrived.length < enough;
    if (mayWait && restMs > 0)
      await rest(restMs, (stop) => {
        hurry = stop;
      });
  };
  const run = async () => {
    busy = true;
    while (arrived.length > 0) {
      await gather();
      beganMs = nowMs();
      several = arrived.length > 1;
      const groups = coalesce(arrived);
      arrived = [];
      const signers = await findSigners(groups.map(({ newest }) => newest.promise)).catch((error) => {
        for (const { newest, older } of groups) for (const waiting of [newest, ...older]) waiting.reject(error);
      });
      if (signers) groups.forEach((group, i) => void decide(group, signers[i]));
    }
    busy = false;
  };
  const decide = async ({ newest, older }: Group, by: Hex | undefined) => {
    const acceptance = await newest.conclude(by).catch((error) => newest.reject(error));
    if (acceptance) newest.resolve(acceptance);
    const left = older.filter((each) => !(acceptance?.accepted && covers(newest.promise, each.promise)));
    for (const each of older) if (!left.includes(each)) each.resolve({ accepted: true, fresh: false });
    // They came first, so they stay before what has come meanwhile: the totals of a payer rise in that order.
    arrived.unshift(...left);
    wake();
  };
  const wake = () => {
    if (!busy) void run();
  };
  return {
    check: (arrival) => {
      underWay += 1;
      return new Promise<Acceptance>((resolve, reject) => {
        arrived.push({ ...arrival, resolve, reject });
        if (arrived.length >= enough) hurry();
        wake();
      }).finally(() => {
        underWay -= 1;
      });
    },
  };
}

const restOr = (ms: number, onStop: (stop: () => void) => void) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    onStop(() => {
      clearTimeout(timer);
      resolve();
    });
  });

const covers = (newer: SignedPromise, older: SignedPromise): boolean => newer.seq > older.seq && newer.cumulative >= older.cumulative;

/**
 * In the order of arrival, each payer's promises of one channel as one group. Where a payer's are of several channels, each is checked by
 * itself: the total of each holds those of the other channels before it, and must be compared with just these.
 */
function coalesce(arrived: Waiting[]): Group[] {
  const channels = new Map<Hex, Hex | "several">();
  for (const { signer, promise } of arrived) {
    const other = channels.get(signer) ?? promise.channel;
    channels.set(signer, other === promise.channel ? other : "several");
  }
  const groups: Group[] = [];
  const bySigner = new Map<Hex, Group>();
  for (const waiting of arrived) {
    const group = channels.get(waiting.signer) === "several" ? undefined : bySigner.get(waiting.signer);
    if (!group) {
      const made = { newest: waiting, older: [] };
      bySigner.set(waiting.signer, made);
      groups.push(made);
    } else if (waiting.promise.seq > group.newest.promise.seq) {
      group.older.push(group.newest);
      group.newest = waiting;
    } else group.older.push(waiting);
  }
  return groups;
}
