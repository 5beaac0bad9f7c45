import type { Clock } from "../../lib/clock.ts";
import type { Hex } from "../../lib/codec.ts";
import { asMystError } from "../../lib/errors.ts";
import { every } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { Store } from "../../lib/store.ts";
import type { Network } from "../../network/network.ts";
import type { SignedPromise } from "../promise.ts";
import { type ChannelRef, keyOf, type ProviderLedger } from "../provider-ledger.ts";
import { readRecord } from "../records.ts";
import { encodeHead, shardOf, shardTopic } from "./head.ts";
import { isToTell, seenAfterMs, seenAfterNewMs, seenOf, type Told, telling, tellSpacingMs } from "./limits.ts";
import { toldRecord } from "./records.ts";

export type TellingDeps = {
  network: Pick<Network, "publish">;
  ledger: Pick<ProviderLedger, "channel">;
  store: Pick<Store, "table" | "writeLazily">;
  clock: Clock;
  log: Logger;
  /** what a channel may grow by unseen */
  growth(ref: ChannelRef): bigint;
  /** its payer's deposit has become known a moment ago */
  isNew(signer: Hex): boolean;
};

/** What this exit tells others of the promises that it has. */
export type Telling = {
  /** the newest head of a channel of ours that others have seen by now */
  seen(ref: ChannelRef): Told | undefined;
  /** A promise was accepted: tells of it now or soon. */
  accepted(ref: ChannelRef): void;
  /** Tells of this promise now, accepted or not, unless that has been told; its signature is known to be good. */
  show(signer: Hex, promise: SignedPromise): Promise<void>;
  stop(): Promise<void>;
};

const prefix = "told/";
/** where nobody listened it is tried again after this */
const againMs = 5_000;

export async function openTelling(deps: TellingDeps): Promise<Telling> {
  const { network, ledger, store, clock, log } = deps;
  const table = store.table("heads");
  const told = new Map<string, Told[]>();
  /** what is to be told once it is time */
  const untold = new Map<string, { ref: ChannelRef; fromMs: number }>();
  const busy = new Set<string>();
  let alone = false;

  for await (const [key, bytes] of table.entries(prefix)) told.set(key.slice(prefix.length), [readRecord(toldRecord, bytes)]);

  const afterMs = (signer: Hex) => (deps.isNew(signer) ? seenAfterNewMs : seenAfterMs);
  const lastOf = (key: string) => told.get(key)?.at(-1);

  /** @returns whether anybody hears it: else it was not told */
  const tell = async (signer: Hex, promise: SignedPromise): Promise<boolean> => {
    const key = keyOf({ signer, channel: promise.channel });
    const { cumulative } = promise;
    const reached = await network.publish(shardTopic(shardOf(signer)), encodeHead({ signer, promise }));
    if (reached === 0 && !alone) log.info("there is nobody to tell what payers have promised here");
    alone = reached === 0;
    if (alone) return false;
    const atMs = clock.nowMs();
    const one = { cumulative, atMs };
    told.set(key, telling(told.get(key) ?? [], one, atMs, afterMs(signer)));
    log.debug("told what was promised here", { signer, channel: promise.channel, cumulative, neighbours: reached });
    await store.writeLazily([table.put(`${prefix}${key}`, toldRecord.encode(one))]);
    return true;
  };
  const tellOf = async (ref: ChannelRef) => {
    const key = keyOf(ref);
    const channel = ledger.channel(ref);
    if (!channel || (lastOf(key)?.cumulative ?? -1n) >= channel.cumulative) return void untold.delete(key);
    const nowMs = clock.nowMs();
    untold.set(key, untold.get(key) ?? { ref, fromMs: nowMs });
    if (busy.has(key) || !isToTell(told.get(key) ?? [], channel.cumulative, deps.growth(ref), nowMs)) return;
    busy.add(key);
    try {
      if (await tell(ref.signer, channel.best)) untold.delete(key);
      else untold.set(key, { ref, fromMs: nowMs + againMs });
    } finally {
      busy.delete(key);
    }
  };
  const failed = (error: unknown) => log.warn("what was promised here could not be told", { code: asMystError(error).code });
  const loop = every(
    clock,
    tellSpacingMs / 2,
    async () => {
      for (const { ref, fromMs } of [...untold.values()]) if (fromMs <= clock.nowMs()) await tellOf(ref);
    },
    failed,
  );

  return {
    seen: (ref) => seenOf(told.get(keyOf(ref)) ?? [], clock.nowMs(), afterMs(ref.signer)),
    accepted: (ref) => void tellOf(ref).catch(failed),
    show: async (signer, promise) => {
      const last = lastOf(keyOf({ signer, channel: promise.channel }));
      if (last && (last.cumulative >= promise.cumulative || clock.nowMs() - last.atMs < tellSpacingMs)) return;
      await tell(signer, promise);
    },
    stop: loop.stop,
  };
}
