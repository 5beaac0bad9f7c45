import type { Discovery } from "../discovery/discovery.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import type { Conflict } from "../payments/heads/book.ts";
import { type Heads, openHeads } from "../payments/heads/heads.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { Settler } from "../payments/settler.ts";
import type { FindSigners } from "../payments/signers.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import type { Events } from "./events.ts";
import type { ConflictView } from "./types.ts";

export type GuardingDeps = {
  network: Pick<Network, "subscribe" | "publish">;
  discovery: Pick<Discovery, "offers">;
  ledger: ProviderLedger;
  settler: Pick<Settler, "requestSettle">;
  findSigners: FindSigners;
  store: Pick<Store, "table" | "write" | "writeLazily">;
  clock: Clock;
  log: Logger;
  self: Hex;
  minBond: bigint;
  /** reads the contract's events now */
  look(): Promise<void>;
  sessions(): Pick<ProviderSession, "signer" | "send">[];
  events: Pick<Events, "emit">;
};

export type Guarding = AsyncDisposable & { heads: Heads; conflicts(): ConflictView[]; stop(): Promise<void> };

const countMs = 30_000;
/** who was found out longer ago and owes nothing here is of no interest any more */
const shownMs = 7 * 86_400_000;
const lies = "this payer has signed promises that cannot all be true";

/**
 * Guards a provider against payers that promise one deposit to many: hears what they have promised elsewhere, tells what they have promised here,
 * and on evidence ends their sessions and clears what they owe before it is gone. Evidence alone takes nothing from anybody: only the
 * contract does, when a claim bounces.
 */
export async function guardPayers(deps: GuardingDeps): Promise<Guarding> {
  const { discovery, ledger, settler, clock, self, minBond } = deps;
  const log = deps.log.child("heads");
  let exits = 1;
  const onConflict = ({ signer, heads }: Conflict) => {
    const owed = ledger.unsettled(signer);
    log.error(lies, { signer, heads: heads.length, owed });
    deps.events.emit({ type: "conflict", signer, owed });
    for (const session of deps.sessions())
      if (session.signer === signer) session.send({ type: "expelled", code: "PAYER_CONFLICT", message: lies });
    for (const { channel, cumulative, paid } of ledger.channelsOf(signer))
      if (cumulative > paid) settler.requestSettle("the payer has signed what cannot all be true", { signer, channel }, "conflict");
  };
  const heads = await openHeads({ ...deps, log, exits: () => exits, onConflict });
  /** Who has a bond counts those that have; who has none is counted by nobody, and so counts all. */
  const count = async () => {
    const others = discovery.offers().map(({ offer }) => offer.address);
    const bonded = await Promise.all(others.map((address) => heads.isBonded(address, minBond)));
    exits = 1 + ((await heads.isBonded(self, minBond)) ? bonded.filter(Boolean).length : others.length);
  };
  const counting = every(clock, countMs, count, (error) => log.warn("exits were not counted", { code: asMystError(error).code }));
  const stop = async () => {
    await counting.stop();
    await heads.stop();
  };
  return {
    heads,
    conflicts: () =>
      heads
        .conflicts()
        .map(({ signer, sinceMs }) => ({ signer, sinceMs, owed: ledger.unsettled(signer) }))
        .filter(({ sinceMs, owed }) => owed > 0n || clock.nowMs() - sinceMs < shownMs),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
