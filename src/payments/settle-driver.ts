import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import { runMachine } from "../lib/machine.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store, Table } from "../lib/store.ts";
import type { Clearing } from "./clearing.ts";
import { channelId, type SignedPromise } from "./promise.ts";
import { type ChannelRef, keyOf, type ProviderLedger } from "./provider-ledger.ts";
import type { RecentSettlements } from "./recent-settlements.ts";
import { maxRaises, readRecord, settlementRecord } from "./records.ts";
import {
  retryAfterMs,
  type SettleEffect,
  type SettleEvent,
  type SettleState,
  type StoredSettlement,
  settleStart,
  settleStep,
} from "./settle-step.ts";
import type { ClaimCheck, Settlement } from "./settlement.ts";
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

/** A channel that can be cleared: one of our own, or by its provider's check one of another's. */
export type Clearable = ChannelRef & {
  salt: Uint8Array;
  best: SignedPromise;
  cumulative: bigint;
  paid: bigint;
  check?: ClaimCheck;
};

/** Where the channels are kept, as far as clearing them goes; a provider's ledger is one. */
export type Book<Channel extends Clearable> = Pick<ProviderLedger, "self" | "claiming" | "settled"> & {
  channel(ref: ChannelRef): Channel | undefined;
};

export type SettleDriverDeps<Channel extends Clearable> = Omit<SettlerDeps, "ledger" | "settlement"> & {
  settlement: Pick<Settlement, "prepareSettle" | "raise" | "submit" | "paid">;
  ledger: Book<Channel>;
  /** where the transaction under way is kept */
  table: Table;
  clearing: Pick<Clearing, "asked" | "claim" | "cleared" | "givenUp"> & {
    /** the most that a transaction may cost that clears these; undefined: whatever it takes */
    mostFor(channels: Channel[]): bigint | undefined;
  };
  recent: Pick<RecentSettlements, "note">;
};

/** One channel's part of a settlement that is on chain. */
export type SettledClaim = ChannelRef & {
  /** what this settlement paid on it, base units */ paid: bigint /** what the contract has paid in all */;
  paidInAll: bigint;
};
export type Settled = {
  hash: Hex;
  paid: bigint;
  /** of it, what the contract keeps for the payout address because the token did not let it through */
  credited: bigint;
  claims: SettledClaim[];
};

export type SettleDriverOptions = { retryMs: number; stuckMs: number };

/** Performs what settle-step.ts decides: one transaction at a time, on disk before it is sent, tried again until its fate is known. */
export function createSettleDriver<Channel extends Clearable>(deps: SettleDriverDeps<Channel>, { retryMs, stuckMs }: SettleDriverOptions) {
  const { settlement, ledger, store, table, log, clock, payout, clearing, recent } = deps;
  const listeners = new Set<(settled: Settled) => void>();
  const waiters = createWaiters();
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
  let handled = Promise.resolve();
  const send = (event: SettleEvent) => {
    handled = machine.send(event).catch((cause) => {
      const { code, message } = asMystError(cause);
      log.error("a settlement step failed", { code, message });
    });
  };
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
    // what is final is forgotten all the same: else the next start would follow it, and tell of it, once more
    if (stopped.signal.aborted && effect.type !== "forget") return;
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
          (error) =>
            error.code === "TRANSACTION_STUCK" ? { type: "stuck" } : { type: "failed", dead: error.code === "TRANSACTION_FAILED" },
        );
      case "raise":
        return launch(
          () => raise(effect.pending),
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
        clearing.givenUp(effect.channels);
        log.error("settling failed again and again; left alone for an hour", { channels: effect.channels.length });
    }
  }

  async function prepare(channels: string[]): Promise<SettleEvent> {
    const refs = channels.map(refOf);
    await Promise.all(refs.map(readPaid));
    const owed = refs.map((ref) => ledger.channel(ref)).filter((channel) => channel !== undefined);
    const open = owed.filter((channel) => unsettledOn(channel) > 0n);
    const claims = open.map(({ signer, salt, best: { channel: _, ...claim }, check }) => ({
      signer,
      salt,
      ...claim,
      ...(check && { check }),
    }));
    const worth = new Set(open.map(keyOf));
    clearing.cleared(channels.filter((channel) => !worth.has(channel)));
    if (claims.length === 0) return { type: "prepared", channels, pending: undefined };
    const maxCost = clearing.mostFor(open);
    const transaction = await settlement.prepareSettle(claims, payout, { maxCost });
    const pending = { ...transaction, claims, channels: [...worth] };
    return { type: "prepared", channels, pending };
  }

  /** Higher fees for one that nobody mines, as far as what it brings allows. */
  async function raise(pending: StoredSettlement): Promise<SettleEvent> {
    const { earlier = [], raw, channels } = pending;
    if (earlier.length >= maxRaises) return { type: "raised", pending: undefined };
    const worth = channels.map((channel) => ledger.channel(refOf(channel))).filter((channel) => channel !== undefined);
    const raised = await settlement.raise(raw, clearing.mostFor(worth));
    if (raised) log.info("a settlement is sent with higher fees", { hash: raised.hash, nonce: raised.nonce });
    return { type: "raised", pending: raised && { ...pending, ...raised, earlier: [...earlier, raw] } };
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
      clearing.claim(channel, cumulative);
      if (ledger.channel(refOf(channel))) ledger.claiming(refOf(channel), cumulative);
    });
    const { earlier = [] } = pending;
    const receipt = await settlement.submit(pending.raw, pending.claims, stopped.signal, { earlier, patienceMs: stuckMs });
    const claims = await Promise.all(
      pending.channels.map(async (channel, i) => {
        const ref = refOf(channel);
        return { ...ref, paid: receipt.paid[i] ?? 0n, paidInAll: await readPaid(ref) };
      }),
    );
    const { hash, credited } = receipt;
    if (claims.some(({ paid, paidInAll }) => paidInAll < paid))
      throw new MystError("RPC_STALE", `the RPC shows that ${hash} has paid, and that nothing was paid`);
    const settled = { hash, credited, claims, paid: claims.reduce((sum, { paid }) => sum + paid, 0n) };
    await recent.note({ hash, channels: pending.channels });
    clearing.cleared(pending.channels);
    log.info("settled", { hash: settled.hash, claims: claims.length, paid: settled.paid });
    const short = pending.claims.filter(({ cumulative }, i) => cumulative > (claims[i]?.paidInAll ?? 0n)).length;
    if (short > 0) log.warn("the contract did not pay all that was promised", { hash: settled.hash, claims: short });
    if (credited > 0n)
      log.warn("the token did not let the payment through; the contract keeps it until it is collected", { to: payout, amount: credited });
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
    clearing.asked(channels);
    send({ type: "asked", channels, urgent, ...(asker !== undefined && { asker }) });
  };

  return {
    /** Takes up what a former run has left. */
    restore,
    ask,
    /** As `ask`, by hand, and waits for the end of it. */
    askAndWait: (channels: string[]) => {
      const { asker, outcome } = waiters.wait();
      ask(channels, true, asker);
      return outcome;
    },
    /** Work that an end waits for. */
    track: (work: Promise<void>) => {
      underWay.add(work);
      void work.finally(() => underWay.delete(work));
    },
    ended: () => stopped.signal.aborted,
    onSettled: (listener: (settled: Settled) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop: async () => {
      stopped.abort();
      await restoring;
      await Promise.all(underWay);
      await handled;
      waiters.fail(interrupted());
    },
  };
}

const interrupted = () => new MystError("INTERRUPTED", "the settler was stopped; the next start goes on with it");
export const unsettledOn = ({ cumulative, paid }: Pick<Clearable, "cumulative" | "paid">): bigint =>
  cumulative > paid ? cumulative - paid : 0n;

export const refOf = (key: string): ChannelRef => {
  const [signer, channel] = key.split("/") as [Hex, Hex];
  return { signer, channel };
};

const withChannels = (stored: Omit<StoredSettlement, "channels">, self: Hex): StoredSettlement => ({
  ...stored,
  channels: stored.claims.map(({ signer, salt, check }) => keyOf({ signer, channel: channelId(check?.provider ?? self, salt) })),
});
