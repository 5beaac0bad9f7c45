import type { Clock } from "../../lib/clock.ts";
import type { Hex } from "../../lib/codec.ts";
import { asMystError } from "../../lib/errors.ts";
import { every } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { Op, Store } from "../../lib/store.ts";
import type { Network } from "../../network/network.ts";
import type { SignedPromise } from "../promise.ts";
import type { ChannelRef, ProviderLedger, Watch } from "../provider-ledger.ts";
import type { FindSigners } from "../signers.ts";
import { type ClearedHead, type Conflict, openHeadBook } from "./book.ts";
import { type AccountEvent, openDepositors } from "./depositors.ts";
import {
  encodeEvidence,
  encodeHead,
  evidenceTopic,
  maxEvidence,
  maxEvidenceBytes,
  maxHeadBytes,
  shardOf,
  shards,
  shardTopic,
} from "./head.ts";
import { growthLimit } from "./limits.ts";
import { createListening } from "./listening.ts";
import { createWatch } from "./sight.ts";
import { openTelling } from "./telling.ts";

export type HeadsDeps = {
  network: Pick<Network, "subscribe" | "publish">;
  ledger: Pick<ProviderLedger, "channel" | "channels" | "channelsOf" | "account" | "unsettled">;
  findSigners: FindSigners;
  store: Pick<Store, "table" | "write" | "writeLazily">;
  clock: Clock;
  log: Logger;
  /** reads the contract's news now, and hands them to `takeEvents` */
  look(): Promise<void>;
  /** N: exits that may give credit to the same payers, this one included */
  exits(): number;
  /** A payer is found out. Also called for each that an earlier run has found out. */
  onConflict(conflict: Conflict): void;
  random?: () => number;
};

export type ChainNews = { undoneAbove: number | undefined; cleared: ClearedHead[]; accounts: AccountEvent[] };

/** What exits tell one another of promises, so that nobody's deposit is promised to all of them at once. */
export type Heads = AsyncDisposable & {
  /** for the ledger, before it accepts */
  watch: Watch;
  /** A promise was accepted: it is told of now or soon. */
  accepted(ref: ChannelRef): void;
  /** Tells of a promise before it is accepted, so that nobody gives credit for the same money meanwhile; of one that its payer has not signed never. */
  show(signer: Hex, promise: SignedPromise): Promise<void>;
  conflicts(): Conflict[];
  /** whether it has ever deposited at least this bond, and not begun to close */
  isBonded(signer: Hex, bond: bigint): Promise<boolean>;
  /** @returns what to write in one batch with the place up to which the contract was read */
  takeEvents(news: ChainNews): Promise<Op[]>;
  stop(): Promise<void>;
};

const saveMs = 10_000;
/** A conflict is told of so long after it was found: gossip itself keeps nothing for those who were away. */
const repeatsMs = [0, 150_000, 600_000, 3_600_000, 6 * 3_600_000];
const headQuota = { burst: 1_000, perSecond: 200 };
const evidenceQuota = { burst: 8, perSecond: 0.5 };

export async function openHeads(deps: HeadsDeps): Promise<Heads> {
  const { network, ledger, findSigners, store, clock, log, look, random } = deps;
  const book = await openHeadBook({ store, clock, log, owes: (signer) => ledger.unsettled(signer) > 0n });
  const depositors = openDepositors({ store, clock });
  const growth = ({ signer, channel }: ChannelRef) => growthLimit(ledger.account(signer)?.bond ?? 0n, book.counted(signer, channel) + 1);
  const telling = await openTelling({ network, ledger, store, clock, log, growth, isNew: depositors.isNew });
  const listening = createListening({ book, depositors, findSigners, clock, look, ...(random && { random }) });
  const watch = createWatch({ book, ledger, telling, clock, isLoud: listening.isLoud, exits: deps.exits });
  const told = new Map<Hex, number>();

  const tellEvidence = async ({ signer, heads }: Conflict) => {
    const promises = heads.filter((head): head is SignedPromise => head.signature !== undefined);
    if (promises.length === heads.length && promises.length <= maxEvidence)
      await network.publish(evidenceTopic, encodeEvidence({ signer, promises }));
    // the rest everybody reads from the chain
    else for (const promise of promises) await network.publish(shardTopic(shardOf(signer)), encodeHead({ signer, promise }));
  };
  const repeat = async () => {
    for (const conflict of book.conflicts()) {
      const { signer, sinceMs } = conflict;
      const times = told.get(signer) ?? repeatsMs.findIndex((ms) => ms > clock.nowMs() - sinceMs);
      const dueMs = repeatsMs[times];
      if (times < 0 || dueMs === undefined || clock.nowMs() - sinceMs < dueMs) continue;
      told.set(signer, times + 1);
      await tellEvidence(conflict);
    }
  };
  const found = (conflict: Conflict) => {
    deps.onConflict(conflict);
    told.set(conflict.signer, 1);
    tellEvidence(conflict).catch(failed);
  };
  const failed = (error: unknown) => log.warn("evidence was not told", { code: asMystError(error).code });

  // what was promised here counts like what was promised elsewhere
  for (const { signer, best } of ledger.channels()) book.take(signer, best);
  for (const conflict of book.conflicts()) deps.onConflict(conflict);
  book.onConflict(found);
  for (let shard = 0; shard < shards; shard += 1)
    await network.subscribe<never>({
      ...{ name: shardTopic(shard), maxBytes: maxHeadBytes, quota: headQuota },
      validate: (bytes, from) => listening.head(bytes, from, shard),
      onMessage: () => undefined,
    });
  await network.subscribe<never>({
    ...{ name: evidenceTopic, maxBytes: maxEvidenceBytes, quota: evidenceQuota },
    validate: (bytes) => listening.evidence(bytes),
    onMessage: () => undefined,
  });
  const saving = every(
    clock,
    saveMs,
    async () => {
      await book.save();
      await repeat();
    },
    failed,
  );

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      // Not from its topics: neighbours would send it away from each, and not let it in again at once when it comes back.
      listening.stop();
      await Promise.all([telling.stop(), saving.stop()]);
      await book.save();
    })();
    return stopping;
  };
  return {
    watch,
    accepted: telling.accepted,
    show: async (signer, promise) => {
      const [by] = await findSigners([promise]);
      if (by !== signer) return;
      book.take(signer, promise);
      await telling.show(signer, promise);
    },
    conflicts: book.conflicts,
    isBonded: depositors.isBonded,
    takeEvents: async ({ undoneAbove, cleared, accounts }) => [
      ...(await depositors.take(undoneAbove, accounts)),
      ...book.takeCleared(undoneAbove, cleared),
    ],
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
