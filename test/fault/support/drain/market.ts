import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Chain } from "../../../../src/chain/chain.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { openStore } from "../../../../src/lib/store.ts";
import { createEvents } from "../../../../src/node/events.ts";
import { guardPayers } from "../../../../src/node/guarding.ts";
import { watchChain } from "../../../../src/node/watching.ts";
import { clearingDomain } from "../../../../src/payments/eip712.ts";
import { openProviderLedger, type PromiseOffer, type ProviderLedger } from "../../../../src/payments/provider-ledger.ts";
import { createSettler, type Settler } from "../../../../src/payments/settler.ts";
import { findSignersInline } from "../../../../src/payments/signers.ts";
import { decideOn } from "../../../../src/session/accepting.ts";
import { myst, type Person, type Rig } from "../../../chain/rig.ts";
import { gossipBus } from "../../../support/gossip-bus.ts";

export const bond = myst;
export const deposit = 100n * myst;

/** An exit's process, as far as money goes. */
export type Exit = {
  person: Person;
  ledger: ProviderLedger;
  settler: Settler;
  /** Decides on a promise: at once, or as a session does, for as long as its payer is patient. */
  take(offer: PromiseOffer, patiently: boolean): Promise<boolean>;
  hasFound(): boolean;
};

export type Market = AsyncDisposable & {
  rig: Rig;
  exits: Exit[];
  /** Lets exits claim: until then the cheat is always first. */
  open(): void;
};

/** neighbours of each in gossip */
const degree = 6;

/**
 * Exits with ledgers on disk, settlers, and what they hear of each other; on a chain where the cheat always comes first.
 * @param minded false: they go by nothing that others know, and tell nothing
 */
export async function openDrainMarket(rig: Rig, count: number, minded: boolean): Promise<Market> {
  await using undo = new AsyncDisposableStack();
  const { network } = rig;
  const bus = gossipBus();
  const domain = clearingDomain(network);
  const gate = Promise.withResolvers<void>();
  const names = Array.from({ length: count }, (_, i) => `exit ${i}`);
  for (const [i, name] of names.entries()) for (let j = 1; j <= degree / 2; j += 1) bus.link(name, names[(i + j * j) % count] as string);
  const directory = await mkdtemp(join(tmpdir(), "mystnode-drain-"));
  undo.defer(() => rm(directory, { recursive: true }));
  const people: Person[] = [];
  for (const _ of names) people.push(await rig.person());

  const openExit = async (name: string, person: Person): Promise<Exit> => {
    const { chain } = person;
    const [clock, log] = [systemClock, silentLogger];
    const store = undo.use(await openStore(join(directory, name)));
    const ledger = await openProviderLedger({ store, self: person.address, clock }, domain);
    const settlement: Chain = {
      ...chain,
      prepareSettle: async (...claims) => {
        await gate.promise;
        return chain.prepareSettle(...claims);
      },
    };
    const settler = undo.use(createSettler({ settlement, ledger, store, log, clock, payout: person.address }, { settleAt: bond }));
    let watching: ReturnType<typeof watchChain> | undefined;
    const guarding = minded
      ? undo.use(
          await guardPayers({
            ...{ network: bus.network(name), ledger, settler, store, clock, log, events: createEvents(log), self: person.address },
            discovery: { offers: () => people.filter((other) => other !== person).map(({ address }) => ({ offer: { address } }) as never) },
            ...{ findSigners: findSignersInline(domain), minBond: network.minBond, sessions: () => [] },
            look: async () => watching?.poll(),
          }),
        )
      : undefined;
    const heads = guarding?.heads;
    watching = undo.use(
      watchChain(
        { chain, ledger, settler, store, clock, log, heads, onPaid: () => undefined },
        { startBlock: network.startBlock, everyMs: 1_000 },
      ),
    );
    await watching.poll();
    const limits = { maxUnsettled: bond, minBond: network.minBond };
    const deps = { ledger, settler, readAccount: chain.account, readPaid: chain.paid, limits, heads, clock, log };
    const atOnce = async (offer: PromiseOffer) => {
      const { signer } = offer;
      if (!ledger.account(signer)) await ledger.rememberAccount(signer, await chain.account(signer));
      const decision = await ledger.accept(offer, { chainReachable: true, limits, watch: heads?.watch });
      if (decision.accepted) heads?.accepted({ signer, channel: offer.promise.channel });
      return decision;
    };
    return {
      ...{ person, ledger, settler },
      take: async (offer, patiently) => (await (patiently ? decideOn(deps, offer) : atOnce(offer))).accepted,
      hasFound: () => (guarding?.conflicts().length ?? 0) > 0,
    };
  };
  const exits: Exit[] = [];
  for (const [i, name] of names.entries()) exits.push(await openExit(name, people[i] as Person));
  const opened = undo.move();
  return {
    ...{ rig, exits, open: gate.resolve },
    [Symbol.asyncDispose]: async () => {
      gate.resolve();
      await opened.disposeAsync();
    },
  };
}
