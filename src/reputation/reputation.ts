import { randomInt } from "node:crypto";
import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Op, Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import { type ClearedBatch, createClearedIndex, fullAgeMs, type Stake } from "./cleared.ts";
import { createExchange } from "./exchange.ts";
import { type Explanation, explained, type Judged, judgedBy, type Known } from "./explanation.ts";
import { createIntake, isBacked } from "./intake.ts";
import { openLedger } from "./ledger.ts";
import { type OwnChannel, openOwnEvidence } from "./own.ts";
import { type Names, renamed, sameNames } from "./renamed.ts";
import { flowsOf } from "./score.ts";
import type { OwnSession } from "./telling.ts";

export type { Explanation, Judged } from "./explanation.ts";

export type ReputationDeps = {
  network: Pick<Network, "subscribe" | "publish" | "ask" | "answer" | "peers" | "onSubscriber">;
  identity: Pick<Identity, "address" | "sign">;
  store: Pick<Store, "table" | "write" | "writeLazily">;
  clock: Clock;
  log: Logger;
  networkConfig: { chainId: number; contract: Hex; minBond: bigint };
  /** a channel's name in the contract's events */
  channelOf(provider: Hex, salt: Uint8Array): Hex;
  /** the channels that we pay by */
  channels(): OwnChannel[];
  /** addresses of the exits that are offered now */
  exits(): Hex[];
  /** who goes on under another key; default: nobody */
  names?: Names;
};

export type ReputationOptions = {
  /** tell others what this node has seen of exits, hours later; default true */
  share?: boolean;
  /** before anything is told of an exit; default 1 to 25 hours, at random */
  delayMs?(): number;
  /** how often is looked what there is to tell, saved and asked; defaults a minute, 10 s, an hour */
  tellEveryMs?: number;
  saveEveryMs?: number;
  pullEveryMs?: number;
};

/** What this node thinks of exits, from its own sessions and from those of others who paid the same exits. */
export type Reputation = AsyncDisposable & {
  /** A session of ours is over. */
  note(session: OwnSession): Promise<void>;
  /** What there is to say of these exits now. */
  judge(providers: Hex[]): Promise<(provider: Hex) => Judged>;
  /** The same of one, with all that it comes from. */
  explain(provider: Hex): Promise<Explanation>;
  /** Asks peers for what they know of these exits. Never throws. */
  ask(providers: Hex[], signal: AbortSignal): Promise<void>;
  /** What a reader of the contract's events has found, as writes that belong on disk with its cursor. */
  apply(batch: ClearedBatch): Promise<Op[]>;
  stop(): Promise<void>;
};

const hourMs = 3_600_000;
/** what is held of exits is worked out again at most this often */
const freshMs = 1_000;
/** when what a reader was given back is on disk for certain */
const writtenMs = 5_000;

export async function createReputation(deps: ReputationDeps, options: ReputationOptions = {}): Promise<Reputation> {
  const { network, identity, store, clock, log, networkConfig, names = sameNames } = deps;
  const domain = { chainId: networkConfig.chainId, contract: networkConfig.contract };
  const tableOf = (kind: string) => store.table(`reputation-${kind}/${domain.chainId}/${domain.contract}`);
  const index = createClearedIndex(tableOf("cleared"));
  const own = await openOwnEvidence({
    ...{ store, index, identity, clock, network: domain, channels: deps.channels },
    table: store.table(`reputation-own/${domain.chainId}/${domain.contract}/${identity.address}`),
    delayMs: options.delayMs ?? (() => randomInt(hourMs, 25 * hourMs)),
  });
  let known: { atMs: number; held: Known } | undefined;
  /** what was cleared may have changed since then; so it may have while we were away */
  let recheckFromMs: number | undefined = clock.nowMs();
  const ledger = await openLedger({
    ...{ store, clock, table: tableOf("ledger") },
    matters: (provider) => (known?.held.flows.to(provider) ?? 0) > 0 || own.providers().includes(provider),
  });
  const intake = createIntake({
    ...{ ledger, index, clock, network: domain, channelOf: deps.channelOf },
    onFork: (fork) => exchange.tellFork(fork),
  });
  const exchange = await createExchange(
    { network, ledger, intake, own, clock, log, exits: deps.exits, random: Math.random },
    {
      ...(options.share !== undefined && { share: options.share }),
      ...(options.tellEveryMs !== undefined && { everyMs: options.tellEveryMs }),
    },
  );
  const stopped = new AbortController();

  const look = async (): Promise<Known> => {
    const nowMs = clock.nowMs();
    if (known && Math.abs(nowMs - known.atMs) < freshMs) return known.held;
    const evidence = renamed({ own: await own.all(), ratings: ledger.ratings(), seen: own.seen, records: ledger.records }, names);
    const held = { ...evidence, flows: flowsOf(identity.address, evidence.own, evidence.ratings) };
    known = { atMs: nowMs, held };
    return held;
  };
  const fullStake = (networkConfig.minBond > 0n ? networkConfig.minBond : 1n) * BigInt(fullAgeMs);
  const judge = async (providers: Hex[]) => {
    const held = await look();
    const nowMs = clock.nowMs();
    const stakes = new Map<Hex, Stake>(await Promise.all(providers.map(async (one) => [one, await index.stake(one, nowMs)] as const)));
    const none: Stake = { bond: 0n, aged: 0n };
    return (provider: Hex) => judgedBy(held, provider, stakes.get(provider) ?? none, fullStake);
  };
  const onError = (error: unknown) => log.warn("what is known of exits was not kept", { error: (error as Error).message });
  /** Nothing is held that is not backed any more; a moment after a reorganisation was told, for only then it is on disk. */
  const recheck = async () => {
    if (recheckFromMs === undefined || clock.nowMs() < recheckFromMs) return;
    recheckFromMs = undefined;
    await ledger.recheck((record) => isBacked({ index, channelOf: deps.channelOf }, record));
  };
  const saving = every(
    clock,
    options.saveEveryMs ?? 10_000,
    async () => {
      await recheck();
      await ledger.save();
    },
    onError,
  );
  const purging = every(
    clock,
    hourMs,
    async () => {
      await own.purge();
      await store.writeLazily(await index.purge(clock.nowMs()));
    },
    onError,
  );
  const pulling = every(
    clock,
    options.pullEveryMs ?? hourMs,
    async (signal) => {
      // who has just begun knows nobody yet
      for (let waits = 0; network.peers().length === 0 && waits < 30; waits += 1) await clock.sleep(1_000, signal);
      await exchange.pull(own.providers(), signal);
    },
    onError,
  );
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      stopped.abort();
      await Promise.all([saving, purging, pulling, exchange].map((part) => part.stop()));
      await ledger.save();
    })();
    return stopping;
  };
  return {
    note: async (session) => {
      known = undefined;
      await own.note(session);
    },
    judge,
    explain: async (provider) => explained(await look(), provider, (await judge([provider]))(provider)),
    ask: async (providers, signal) => {
      await exchange.pull(providers, AbortSignal.any([signal, stopped.signal]));
      known = undefined;
    },
    apply: async (batch) => {
      const ops = await index.apply(batch);
      if (batch.rolledBackTo !== undefined) recheckFromMs = clock.nowMs() + writtenMs;
      return ops;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
