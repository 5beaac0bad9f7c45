import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Chain } from "../../../../src/chain/chain.ts";
import { createChain } from "../../../../src/chain/client.ts";
import type { Poller } from "../../../../src/chain/poller.ts";
import { type Clock, systemClock } from "../../../../src/lib/clock.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import type { NetworkConfig } from "../../../../src/lib/network-config.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { openStore } from "../../../../src/lib/store.ts";
import { watchChain } from "../../../../src/node/watching.ts";
import { clearingDomain } from "../../../../src/payments/eip712.ts";
import { channelId, newSalt, signPromise } from "../../../../src/payments/promise.ts";
import { type ChannelRef, openProviderLedger, type ProviderLedger } from "../../../../src/payments/provider-ledger.ts";
import { createSettler, type Settled, type Settler, type SettlerOptions } from "../../../../src/payments/settler.ts";
import { myst, type Person, type Rig, startRig } from "../../../chain/rig.ts";

/** blocks on top of one before it counts here */
export const confirmations = 2;
const blockMs = 30;
const hourMs = 3_600_000;

/** A chain whose blocks, prices and time are in our hands. */
export type World = AsyncDisposable & {
  rig: Rig;
  network: NetworkConfig;
  /** as the chain has it: moved on with `pass` */
  clock: Clock;
  ask: Rig["ask"];
  /** while it is held no block is made */
  hold(on: boolean): void;
  /** wei: the base fee of each block from now on; undefined: as the chain has it */
  price(baseFee: bigint | undefined): void;
  mine(blocks: number): Promise<void>;
  /** Time passes, on the chain and for everybody. */
  pass(hours: number): Promise<void>;
  height(): Promise<number>;
};

/** @param over what the network says besides, for example what a coin is worth */
export async function openWorld(over: Partial<NetworkConfig> = {}): Promise<World> {
  const rig = await startRig({ confirmations });
  let held = false;
  let baseFee: bigint | undefined;
  let aheadMs = 0;
  let ended = false;
  let busy: Promise<unknown> = Promise.resolve();
  const sleepers = new Set<{ untilMs: number; wake(): void }>();
  const nowMs = () => Date.now() + aheadMs;
  /** Sleep is over also when time has been moved on past its end. */
  const sleep: Clock["sleep"] = async (ms, signal) => {
    const woken = new AbortController();
    const sleeper = { untilMs: nowMs() + ms, wake: () => woken.abort() };
    sleepers.add(sleeper);
    try {
      await systemClock.sleep(ms, signal ? AbortSignal.any([signal, woken.signal]) : woken.signal);
    } catch (error) {
      if (!woken.signal.aborted) throw error;
    } finally {
      sleepers.delete(sleeper);
    }
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = busy.then(work);
    busy = done.catch(() => undefined);
    return done;
  };
  const block = async () => {
    if (baseFee !== undefined) await rig.ask("anvil_setNextBlockBaseFeePerGas", `0x${baseFee.toString(16)}`);
    await rig.ask("evm_mine");
  };
  await rig.ask("evm_setAutomine", false);
  const ticking = (async () => {
    while (!ended) {
      await inTurn(async () => held || block()).catch(() => undefined);
      await wait(blockMs);
    }
  })();
  const height = async () => Number(await rig.ask("eth_blockNumber"));
  return {
    rig,
    network: { ...rig.network, ...over },
    clock: { nowMs, sleep },
    // in turn with the blocks, or a reorganisation would meet one half made
    ask: (method, ...params) => inTurn(() => rig.ask(method, ...params)),
    hold: (on) => {
      held = on;
    },
    price: (fee) => {
      baseFee = fee;
    },
    mine: async (blocks) => {
      for (let i = 0; i < blocks; i += 1) await inTurn(block);
    },
    pass: async (hours) => {
      await inTurn(async () => {
        await rig.ask("evm_increaseTime", hours * 3600);
        await block();
        aheadMs += hours * hourMs;
        for (const { untilMs, wake } of sleepers) if (untilMs <= nowMs()) wake();
      });
    },
    height,
    [Symbol.asyncDispose]: async () => {
      ended = true;
      await ticking;
      await rig[Symbol.asyncDispose]();
    },
  };
}

export type LifeOptions = {
  rpc?: string[];
  /** false: nobody follows the contract's events */
  watch?: boolean;
  settler?: Partial<SettlerOptions>;
};

/** A provider's process, as far as money goes. */
export type Life = {
  chain: Chain;
  ledger: ProviderLedger;
  settler: Settler;
  settled: Settled[];
  /** what the log has warned of */
  warnings: string[];
  /** Ends without waiting for anything, as a crash does as far as the chain goes. */
  end(): Promise<void>;
};

/** A provider and a payer with a deposit, and a directory that outlives the provider's processes. */
export type Case = AsyncDisposable & {
  world: World;
  payer: Person;
  provider: Person;
  ref: ChannelRef;
  /** base units promised by now */
  promised(): bigint;
  /** Begins a process of the provider on what the last one left. */
  live(options?: LifeOptions): Promise<Life>;
  /** The payer promises as much in all, and the provider takes it. */
  promise(life: Life, cumulative: bigint): Promise<boolean>;
};

export const deposit = 10n * myst;
export const bond = 4n * myst;

export async function openCase(world: World): Promise<Case> {
  const { rig, network, clock } = world;
  const [payer, provider] = [await rig.person(deposit + bond), await rig.person()];
  await payer.chain.deposit(deposit, bond);
  const directory = await mkdtemp(join(tmpdir(), "mystnode-chain-"));
  const salt = newSalt();
  const channel = channelId(provider.address, salt);
  const ref = { signer: payer.address, channel };
  const lives = new Set<Life>();
  let promised = 0n;
  let seq = 0n;

  const live = async ({ rpc = [rig.rpc], watch = true, settler: chosen = {} }: LifeOptions = {}): Promise<Life> => {
    const warnings: string[] = [];
    const warn = (message: string, facts?: object) => {
      warnings.push(message);
      if (process.env.SHOW) console.error(message, facts);
    };
    const log = { ...silentLogger, warn, error: warn, child: () => log };
    const store = await openStore(directory);
    const ledger = await openProviderLedger({ store, self: provider.address, clock }, clearingDomain(network));
    const chain = createChain({ network: { ...network, rpc }, identity: provider.identity, log, clock, verifyMs: 300 });
    const settler = createSettler(
      { settlement: chain, ledger, store, log, clock, payout: provider.address },
      { settleAt: myst / 2n, retryMs: 50, stuckMs: 400, reviewMs: 200, ...chosen },
    );
    const settled: Settled[] = [];
    settler.onSettled((one) => settled.push(one));
    settler.start();
    let watching: Poller | undefined;
    if (watch)
      watching = watchChain(
        { chain, ledger, settler, store, clock, log, onPaid: () => undefined },
        { startBlock: network.startBlock, everyMs: 80 },
      );
    const life: Life = {
      ...{ chain, ledger, settler, settled, warnings },
      end: async () => {
        if (!lives.delete(life)) return;
        await Promise.all([settler.stop(), watching?.stop()]);
        await store.close();
      },
    };
    lives.add(life);
    return life;
  };

  const promise = async ({ ledger, chain }: Life, cumulative: bigint): Promise<boolean> => {
    seq += 1n;
    const content = { channel, cumulative, total: cumulative, seq: (BigInt(clock.nowMs()) << 20n) + seq };
    const signed = signPromise(clearingDomain(network), payer.identity, content);
    if (!ledger.account(payer.address)) await ledger.rememberAccount(payer.address, await chain.account(payer.address));
    const accepted = await ledger.accept(
      { signer: payer.address, peer: payer.identity.peerId, salt, promise: signed, consumed: 0n },
      { chainReachable: false, limits: { maxUnsettled: deposit, minBond: 0n } },
    );
    if (accepted.accepted) promised = cumulative;
    return accepted.accepted;
  };

  return {
    ...{ world, payer, provider, ref, live, promise },
    promised: () => promised,
    [Symbol.asyncDispose]: async () => {
      for (const life of [...lives]) await life.end();
      await rm(directory, { recursive: true });
    },
  };
}

/** What the chain and the provider's ledger have at the end, held against what was promised: a sentence for each thing that is wrong. */
export async function audit({ world, payer, provider, ref, promised }: Case, life?: Life): Promise<string[]> {
  const view = createChain({ network: { ...world.network, rpc: [world.rig.rpc] }, log: silentLogger, clock: world.clock });
  const [paid, { tokens }, credit] = [
    await view.paid(payer.address, ref.channel),
    await view.balances(provider.address),
    await view.credit(provider.address),
  ];
  const wrong: string[] = [];
  if (paid < promised()) wrong.push(`lost: ${promised()} promised, the contract has paid ${paid}`);
  if (tokens + credit !== paid) wrong.push(`paid ${paid} on the channel, and the provider has got ${tokens + credit}`);
  const known = life?.ledger.channel(ref)?.paid ?? paid;
  if (known !== paid) wrong.push(`the ledger says that ${known} was paid, the contract ${paid}`);
  return wrong;
}

/** Waits until nothing is wrong any more, and says what still is. */
export async function auditWithin(one: Case, life: Life | undefined, withinMs: number): Promise<string[]> {
  const end = performance.now() + withinMs;
  for (;;) {
    const wrong = await audit(one, life);
    if (wrong.length === 0 || performance.now() > end) return wrong;
    await wait(50);
  }
}

/** when something is to be over that takes no longer than blocks and tries do */
export const soonMs = 20_000;
/** how long a control waits for what must not happen */
export const controlMs = 1_500;

export const pendingIn = async (world: World, address: Hex): Promise<boolean> =>
  Number(await world.rig.ask("eth_getTransactionCount", address, "pending")) >
  Number(await world.rig.ask("eth_getTransactionCount", address, "latest"));
export const nonceOf = async (world: World, address: Hex): Promise<number> =>
  Number(await world.rig.ask("eth_getTransactionCount", address, "latest"));
