import type { Chain } from "../chain/chain.ts";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Store } from "../lib/store.ts";
import type { FindSigners } from "../payments/signers.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import type { Events } from "./events.ts";
import { type Guarding, type GuardingDeps, guardPayers } from "./guarding.ts";
import type { Recording } from "./recording.ts";
import { type Serving, type ServingDeps, startServing } from "./serving.ts";
import type { ServeOptions } from "./types.ts";
import { followContract } from "./watching.ts";

export type ProvidingDeps = Omit<ServingDeps, "readAccount" | "readPaid" | "limits" | "heads" | "onSession" | "onBroken"> & {
  discovery: GuardingDeps["discovery"];
  chain: Chain;
  store: Store;
  findSigners: FindSigners;
  config: NetworkConfig;
  recording: Recording;
  events: Events;
  signal: AbortSignal;
};

/** What a node that serves has running. */
export type Providing = { serving: Serving; guarding: Guarding; watching: { stop(): Promise<void> } };

/** a payer may owe so many times what a channel in use is cleared at */
const settleAtTimes = 4n;

/** Serves: guards against payers that cheat, answers proposals, and follows the contract. */
export async function provide(deps: ProvidingDeps, options: ServeOptions): Promise<Providing> {
  const { chain, config, events, recording, self } = deps;
  let serving: Serving | undefined;
  let watching: ReturnType<typeof followContract> | undefined;
  await using undo = new AsyncDisposableStack();
  const guarding = undo.use(
    await guardPayers({
      ...deps,
      minBond: config.minBond,
      look: async () => watching?.poll(),
      sessions: (): ProviderSession[] => serving?.sessions() ?? [],
    }),
  );
  const { heads } = guarding;
  serving = await startServing(
    {
      ...deps,
      heads,
      readAccount: chain.account,
      readPaid: chain.paid,
      limits: { maxUnsettled: options.settleAt * settleAtTimes, minBond: config.minBond },
      onSession: recording.onSession,
      onBroken: ({ code, message }) => events.emit({ type: "warning", code, message }),
    },
    options,
  );
  const payout: Hex = options.payout ?? self;
  const { watcher } = serving.watchers;
  watching = followContract({ ...deps, heads, watcher, address: self, payout, onPaid: recording.onPaid }, config);
  undo.move();
  return { serving, guarding, watching };
}
