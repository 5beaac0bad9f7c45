import type { Chain } from "../chain/chain.ts";
import type { Discovery } from "../discovery/discovery.ts";
import { type ServiceOffer, watchKind } from "../discovery/offer.ts";
import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import type { ClearingDomain } from "../payments/eip712.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { Handed } from "../watch/handed.ts";
import { startHanding } from "../watch/handing.ts";
import type { WatchOffer } from "../watch/handing-policy.ts";
import { startWatcher, type Watcher } from "../watch/watcher.ts";
import type { ServeOptions, WatchingView } from "./types.ts";

export type WatchersDeps = {
  network: Pick<Network, "answer" | "ask" | "connect" | "peers">;
  discovery: Pick<Discovery, "offers" | "search">;
  chain: Chain;
  ledger: ProviderLedger;
  identity: Pick<Identity, "sign">;
  domain: ClearingDomain;
  self: `0x${string}`;
  limits: { minBond: bigint };
  store: Pick<Store, "table" | "write">;
  handed: Handed;
  clock: Clock;
  log: Logger;
};

/** What a node that serves does about watching: for others where it was asked to, and by others for what is owed to itself. */
export type Watchers = AsyncDisposable & {
  /** to be offered beside what is sold */
  offered: ServiceOffer[];
  watcher?: Watcher;
  /** Hands out what is due now. Never throws. */
  handOut(): Promise<void>;
  view(): WatchingView;
};

export const defaultMaxWatchFeeBps = 200;

const offersIn = (discovery: Pick<Discovery, "offers">): WatchOffer[] =>
  discovery.offers({ service: watchKind }).flatMap(({ offer: { peer, addresses, services } }) => {
    const feeBps = services.find(({ kind }) => kind === watchKind)?.feeBps;
    return feeBps === undefined ? [] : [{ peer, addresses, feeBps }];
  });

/** Opens both sides; nothing is announced yet. @throws STORE_CORRUPT */
export async function openWatchers(deps: WatchersDeps, options: Pick<ServeOptions, "watch" | "maxWatchFeeBps">): Promise<Watchers> {
  const { network, discovery, chain, self, limits, log, handed, ledger, clock } = deps;
  const { watch, maxWatchFeeBps = defaultMaxWatchFeeBps } = options;
  await using undo = new AsyncDisposableStack();
  const here = () => new Set([...network.peers(), ...discovery.offers().map(({ offer }) => offer)].map(({ peer }) => peer));
  const watcher = watch && undo.use(await startWatcher({ ...deps, chain, self, ...limits, log: log.child("watch"), here }, watch));
  const look = (signal: AbortSignal) => discovery.search({ service: watchKind }, signal);
  const handing =
    maxWatchFeeBps > 0
      ? undo.use(
          startHanding({ ...deps, log: log.child("handing"), offers: () => offersIn(discovery), look }, { maxFeeBps: maxWatchFeeBps }),
        )
      : undefined;
  const opened = undo.move();
  return {
    offered: watch ? [{ kind: watchKind, perGiB: 0n, perHour: 0n, feeBps: watch.feeBps }] : [],
    ...(watcher && { watcher }),
    handOut: async () => handing?.now(),
    view: () => {
      const watched = ledger.channels().flatMap((channel) => handed.watched(channel, clock.nowMs()) ?? []);
      return {
        ...(watcher && { forOthers: watcher.view() }),
        ...(watched.length > 0 && {
          byOthers: {
            channels: watched.length,
            amount: watched.reduce((sum, { amount }) => sum + amount, 0n),
            by: [...new Set(watched.flatMap(({ by }) => by))].sort(),
          },
        }),
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
