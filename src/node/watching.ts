import type { Chain, ChainEvent } from "../chain/chain.ts";
import { createPoller, type Poller } from "../chain/poller.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Loop } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { ChainNews, Heads } from "../payments/heads/heads.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { Settler } from "../payments/settler.ts";
import type { Watcher } from "../watch/watcher.ts";
import { type CollectingDeps, keepCollecting } from "./collecting.ts";

export type WatchingDeps = {
  chain: Pick<Chain, "events" | "paid" | "account">;
  ledger: Pick<ProviderLedger, "channel" | "channels" | "settled" | "account" | "rememberAccount" | "unsettled">;
  settler: Pick<Settler, "requestSettle" | "reorganised">;
  store: Pick<Store, "table" | "write">;
  clock: Clock;
  log: Logger;
  /** what others know of payers follows from the same events */
  heads?: Pick<Heads, "takeEvents"> | undefined;
  /** what the contract has paid on a channel of ours, whoever had it cleared */
  onPaid(channel: Hex, paidInAll: bigint): void;
  /** clears for others, and is told of the same events */
  watcher?: Pick<Watcher, "take" | "reorganised"> | undefined;
};

export type WatchingOptions = { startBlock: number; everyMs?: number };

/**
 * Follows the contract while this node serves: what others have cleared for us is written down, a payer's account is read again
 * when it has changed, and a payer that closes is cleared, for after the delay its money is gone. What a reorganisation has undone is
 * cleared anew.
 */
export function watchChain(deps: WatchingDeps, { startBlock, everyMs = 30_000 }: WatchingOptions): Poller {
  const { chain, ledger, settler, store, log, clock } = deps;
  /** Each of these may come again after a crash or a reorganisation, and changes nothing then. */
  const take = async (event: ChainEvent) => {
    if (event.type === "cleared") {
      const ref = { signer: event.signer, channel: event.channel };
      if (!ledger.channel(ref)) return;
      const paid = await chain.paid(event.signer, event.channel);
      if (paid < event.paid) throw contradiction();
      await ledger.settled(ref, paid);
      deps.onPaid(event.channel, paid);
    }
    if (ledger.account(event.signer)) {
      const view = await chain.account(event.signer);
      // whoever this happens to has deposited once
      if (view.line === 0n) throw contradiction();
      await ledger.rememberAccount(event.signer, view);
    }
    if (event.type === "closing" && ledger.unsettled(event.signer) > 0n)
      for (const { signer, channel } of ledger.channels())
        if (signer === event.signer) settler.requestSettle("the payer closes its account", { signer, channel }, "close");
  };
  return createPoller(
    { source: chain.events, table: store.table("events"), write: store.write, log: log.child("events"), clock },
    {
      startBlock,
      everyMs,
      apply: async ({ rolledBackTo, events }) => {
        if (rolledBackTo !== undefined) {
          for (const signer of new Set(ledger.channels().map((channel) => channel.signer)))
            if (ledger.account(signer)) await ledger.rememberAccount(signer, await chain.account(signer));
          await settler.reorganised();
          await deps.watcher?.reorganised();
        }
        for (const event of events) {
          await take(event);
          await deps.watcher?.take(event);
        }
        return (await deps.heads?.takeEvents(newsOf(rolledBackTo, events))) ?? [];
      },
    },
  );
}

const newsOf = (undoneAbove: number | undefined, events: ChainEvent[]): ChainNews => ({
  undoneAbove,
  cleared: events.filter((event) => event.type === "cleared"),
  accounts: events.filter((event) => event.type !== "cleared"),
});

/** The events are read again: from an RPC that has come to itself, or another. */
const contradiction = () => new MystError("RPC_STALE", "the RPC contradicts itself or what it has shown before");

/** All that a node that serves does about the contract beside clearing: follows its events, and takes out what it keeps for us. */
export function followContract(deps: WatchingDeps & CollectingDeps, options: WatchingOptions): Poller {
  const following = watchChain(deps, options);
  const parts: Loop[] = [following, keepCollecting({ ...deps, log: deps.log.child("collecting") })];
  const stop = async () => {
    await Promise.all(parts.map((part) => part.stop()));
  };
  return { poll: following.poll, stop, [Symbol.asyncDispose]: stop };
}

/** For those who watch a node: what became of a settlement that was not paid out. */
export const notLetThrough = { code: "TRANSACTION_FAILED", message: "the token did not let a payment through; the contract keeps it" };
