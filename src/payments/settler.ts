import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import { runMachine } from "../lib/machine.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import { channelId } from "./promise.ts";
import { type ChannelRef, keyOf, type ProviderChannel, type ProviderLedger } from "./provider-ledger.ts";
import { ledgerTable, readRecord, settlementRecord } from "./records.ts";
import {
  retryAfterMs,
  type SettleEffect,
  type SettleEvent,
  type SettleState,
  type StoredSettlement,
  settleStart,
  settleStep,
} from "./settle-step.ts";
import type { Settlement } from "./settlement.ts";
import { createWaiters } from "./waiters.ts";

export type SettlerDeps = {
  settlement: Settlement;
  ledger: ProviderLedger;
  store: Pick<Store, "table" | "write">;
  log: Logger;
  clock: Clock;
  /** where the money goes */
  payout: Hex;
};

export type SettlerOptions = {
  /** base units: a channel is cleared once this much is unsettled on it */
  settleAt: bigint;
  /** base units: less than this is left on a channel, unless clearing is asked for by hand; default 0 */
  dustBelow?: bigint;
  /** wait before the first new try after a failure; doubles up to 5 min; default 2 s */
  retryMs?: number;
};

/** One channel's part of a settlement that is on chain. */
export type SettledClaim = ChannelRef & {
  /** what this settlement paid on it, base units */ paid: bigint /** what the contract has paid in all */;
  paidInAll: bigint;
};
export type Settled = { hash: Hex; paid: bigint; claims: SettledClaim[] };

export type Settler = AsyncDisposable & {
  /**
   * Sends again what a former run left unfinished and clears what it left unsettled; returns at once. Without it the same is done
   * for the unfinished only, as soon as anything is asked for.
   */
  start(): void;
  /** After an accepted promise: clears the channel if it has reached the threshold. */
  consider(ref: ChannelRef): void;
  /** Clears a channel, or all that is unsettled, as soon as it can; returns at once. For session ends. */
  requestSettle(reason: string, ref?: ChannelRef): void;
  /** Clears all that is unsettled, dust too, and waits for it. @throws RPC_UNREACHABLE, INSUFFICIENT_GAS, TRANSACTION_FAILED (it stays queued) */
  settleNow(): Promise<{ hash?: Hex; claims: number; paid: bigint }>;
  onSettled(listener: (settled: Settled) => void): () => void;
  /** Ends without waiting for the chain; what is under way is taken up by the next start. */
  stop(): Promise<void>;
};

const defaultRetryMs = 2_000;

/** Turns promises into money: one transaction at a time, on disk before it is sent, tried again until its fate is known. */
export function createSettler(deps: SettlerDeps, options: SettlerOptions): Settler {
  const { settlement, ledger, store, log, clock, payout } = deps;
  const { settleAt, dustBelow = 0n, retryMs = defaultRetryMs } = options;
  const table = ledgerTable(store, "settler", ledger.network, ledger.self);
  const listeners = new Set<(settled: Settled) => void>();
  const waiters = createWaiters();
  /** the highest cumulative that a transaction of this run has claimed: what bounced is not claimed again and again */
  const tried = new Map<string, bigint>();
  const stopped = new AbortController();
  const underWay = new Set<Promise<void>>();
  let retryTimer = new AbortController();
  let lastError = interrupted();
  let restoring: Promise<void> | undefined;

  const machine = runMachine<SettleState, SettleEvent, SettleEffect>({
    initial: settleStart,
    step: settleStep,
    perform,
    onTransition: (_, event, to) => waiters.observe(event, to, lastError),
  });
  const send = (event: SettleEvent) =>
    void machine.send(event).catch((cause) => {
      const { code, message } = asMystError(cause);
      log.error("a settlement step failed", { code, message });
    });
  /** Long work of the chain: the machine stays open to what is asked meanwhile. */
  const launch = (work: () => Promise<SettleEvent>, failed: (error: MystError) => SettleEvent) => {
    const done = work()
      .catch((error) => {
        lastError = asMystError(error);
        if (!stopped.signal.aborted) log.warn("not settled yet", { code: lastError.code, message: lastError.message });
        return failed(lastError);
      })
      .then((event) => {
        underWay.delete(done);
        if (!stopped.signal.aborted) send(event);
      });
    underWay.add(done);
  };

  async function perform(effect: SettleEffect): Promise<void> {
    if (stopped.signal.aborted) return;
    switch (effect.type) {
      case "prepare":
        return launch(
          () => prepare(effect.channels),
          () => ({ type: "failed", dead: false }),
        );
      case "persist":
        return persist(effect.pending);
      case "submit":
        return launch(
          () => submit(effect.pending),
          (error) => ({ type: "failed", dead: error.code === "TRANSACTION_FAILED" }),
        );
      case "forget":
        return store.write([table.del("pending")]);
      case "wait": {
        retryTimer.abort();
        retryTimer = new AbortController();
        const signal = AbortSignal.any([retryTimer.signal, stopped.signal]);
        clock.sleep(retryAfterMs(retryMs, effect.failures), signal).then(
          () => send({ type: "retry" }),
          () => undefined,
        );
        return;
      }
      case "giveUp":
        log.error("settling failed again and again; left until it is asked for", { channels: effect.channels.length });
    }
  }

  async function prepare(channels: string[]): Promise<SettleEvent> {
    const refs = channels.map(refOf);
    await Promise.all(refs.map(readPaid));
    const owed = refs.map((ref) => ledger.channel(ref)).filter((channel) => channel !== undefined && unsettledOn(channel) > 0n);
    const claims = (owed as ProviderChannel[]).map(({ signer, salt, best: { channel: _, ...claim } }) => ({ signer, salt, ...claim }));
    if (claims.length === 0) return { type: "prepared", channels, pending: undefined };
    const transaction = await settlement.prepareSettle(claims, payout);
    const pending = { ...transaction, claims, channels: (owed as ProviderChannel[]).map(keyOf) };
    return { type: "prepared", channels, pending };
  }

  /** A transaction that cannot be written down is not sent. */
  async function persist(pending: StoredSettlement): Promise<void> {
    try {
      await store.write([table.put("pending", settlementRecord.encode(pending))]);
    } catch (error) {
      lastError = asMystError(error);
      send({ type: "failed", dead: false });
      throw error;
    }
  }

  async function submit(pending: StoredSettlement): Promise<SettleEvent> {
    pending.claims.forEach(({ cumulative }, i) => {
      const channel = pending.channels[i] as string;
      tried.set(channel, cumulative);
      if (ledger.channel(refOf(channel))) ledger.claiming(refOf(channel), cumulative);
    });
    const receipt = await settlement.submit(pending.raw, pending.claims, stopped.signal);
    const claims = await Promise.all(
      pending.channels.map(async (channel, i) => {
        const ref = refOf(channel);
        return { ...ref, paid: receipt.paid[i] ?? 0n, paidInAll: await readPaid(ref) };
      }),
    );
    const settled = { hash: receipt.hash, claims, paid: claims.reduce((sum, { paid }) => sum + paid, 0n) };
    log.info("settled", { hash: settled.hash, claims: claims.length, paid: settled.paid });
    const short = pending.claims.filter(({ cumulative }, i) => cumulative > (claims[i]?.paidInAll ?? 0n)).length;
    if (short > 0) log.warn("the contract did not pay all that was promised", { hash: settled.hash, claims: short });
    waiters.add(settled);
    for (const listener of listeners) listener(settled);
    return { type: "settled" };
  }

  /** Asks the chain what it has paid on a channel, and writes it down. */
  async function readPaid(ref: ChannelRef): Promise<bigint> {
    const paid = await settlement.paid(ref.signer, ref.channel);
    if (ledger.channel(ref)) await ledger.settled(ref, paid);
    return paid;
  }

  const restore = () => {
    restoring ??= table
      .get("pending")
      .then((bytes) => bytes && withChannels(readRecord(settlementRecord, bytes), ledger.self))
      .catch((error) => {
        // No money is lost with it: what it claims is in the ledger, and what it has done is on chain.
        log.error("the stored transaction cannot be read", { code: asMystError(error).code });
        return undefined;
      })
      .then((pending) => send({ type: "restored", pending }));
  };
  const ask = (channels: string[], urgent: boolean, asker?: number) => {
    if (stopped.signal.aborted) return waiters.fail(interrupted());
    restore();
    send({ type: "asked", channels, urgent, ...(asker !== undefined && { asker }) });
  };
  const allOwed = (least: bigint) => ledger.channels().filter((channel) => unsettledOn(channel) > 0n && unsettledOn(channel) >= least);
  const stop = async () => {
    stopped.abort();
    await restoring;
    await Promise.all(underWay);
    waiters.fail(interrupted());
  };

  return {
    start: () => ask(allOwed(dustBelow).map(keyOf), false),
    consider: (ref) => {
      const channel = ledger.channel(ref);
      if (!channel) return;
      const claimed = larger(channel.paid, tried.get(keyOf(ref)) ?? 0n);
      if (channel.cumulative - claimed >= settleAt) ask([keyOf(ref)], false);
    },
    requestSettle: (reason, ref) => {
      const wanted = ref ? [ledger.channel(ref)].filter((channel) => channel !== undefined) : ledger.channels();
      const worth = wanted.filter((channel) => unsettledOn(channel) > 0n && unsettledOn(channel) >= dustBelow);
      const left =
        wanted.reduce((sum, channel) => sum + unsettledOn(channel), 0n) - worth.reduce((sum, channel) => sum + unsettledOn(channel), 0n);
      if (left > 0n) log.info("too little to clear is left on its channel", { reason, amount: left });
      if (worth.length > 0) ask(worth.map(keyOf), false);
    },
    settleNow: () => {
      const { asker, outcome } = waiters.wait();
      ask(allOwed(0n).map(keyOf), true, asker);
      return outcome;
    },
    onSettled: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const interrupted = () => new MystError("INTERRUPTED", "the settler was stopped; the next start goes on with it");
const unsettledOn = ({ cumulative, paid }: ProviderChannel): bigint => (cumulative > paid ? cumulative - paid : 0n);

const refOf = (key: string): ChannelRef => {
  const [signer, channel] = key.split("/") as [Hex, Hex];
  return { signer, channel };
};

const withChannels = (stored: Omit<StoredSettlement, "channels">, self: Hex): StoredSettlement => ({
  ...stored,
  channels: stored.claims.map(({ signer, salt }) => keyOf({ signer, channel: channelId(self, salt) })),
});
