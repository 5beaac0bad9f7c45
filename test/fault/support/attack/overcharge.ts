import { setTimeout as wait } from "node:timers/promises";
import type { KnownOffer } from "../../../../src/discovery/discovery.ts";
import type { Identity } from "../../../../src/identity/identity.ts";
import { larger } from "../../../../src/lib/bigint.ts";
import type { Clock } from "../../../../src/lib/clock.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { Store } from "../../../../src/lib/store.ts";
import type { FrameStream, Network } from "../../../../src/network/network.ts";
import { connectToExit } from "../../../../src/node/connecting.ts";
import type { ExitView } from "../../../../src/node/types.ts";
import { clearingDomain, termsDigest } from "../../../../src/payments/eip712.ts";
import { openPayerLedger } from "../../../../src/payments/payer-ledger.ts";
import { QUANTUM_MS, quantumBound, quantumMoney } from "../../../../src/payments/quantum.ts";
import type { AccountView } from "../../../../src/payments/settlement.ts";
import { due, type Usage } from "../../../../src/payments/terms.ts";
import type { ServiceConsumer } from "../../../../src/services/service.ts";
import { stepConsumer } from "../../../../src/session/consumer.ts";
import type { ConsumerDeps } from "../../../../src/session/consumer-driver.ts";
import { type ToConsumer, toConsumerCodec, toProviderCodec } from "../../../../src/session/messages.ts";
import { termsData } from "../../../../src/session/server.ts";
import { type Random, randomOf } from "../../../support/random.ts";
import { myst } from "../market.ts";

/** both halves of a quantum show: five seconds cost as much as a MiB */
const prices = { perHour: 72n * (myst / 10n), perGiB: 1024n * (myst / 100n) };
const rich = 1n << 90n;
const domain = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });

/** its count of time began that little before ours */
const slackMs = 250;

export type Overcharged = {
  /** lies told by kind */
  tried: Record<string, number>;
  /** where a consumer bought more than its own count and a quantum: a sentence each */
  accepted: string[];
  /** base units, the most of any session: promised in it beyond what was served and a quantum; below 0 where it was less */
  gainOverBound: bigint;
};

/** A consumer of ours and the exit that it meets, which lies. */
export type Meeting = AsyncDisposable & {
  store: Store;
  clock: Clock;
  /** of the consumer; whom it opens frames to is handed to `lie` */
  network: Pick<Network, "connect" | "openFrames">;
  identity: Identity;
  exit: { peer: string; address: `0x${string}` };
  onSession(lie: (stream: FrameStream) => Promise<void>): void;
};

/** A meter without the rule on disputes: it buys by the exit's count. */
export const believing: typeof stepConsumer = (state, event) => {
  if (event.type !== "used") return stepConsumer(state, event);
  const used = { bytes: larger(event.used.bytes, state.invoiced.bytes), ms: Math.max(event.used.ms, state.invoiced.ms) };
  return stepConsumer({ ...state, invoiced: { bytes: 0n, ms: 0 }, invoicedAtMs: undefined }, { ...event, used });
};

/** `sessions` of one consumer with an exit that counts what it likes, `forMs` each. */
export async function overcharge(
  { store, clock, network, identity, exit, onSession }: Meeting,
  {
    sessions,
    forMs,
    seed,
    step,
    signal,
  }: { sessions: number; forMs: number; seed: string; step?: typeof stepConsumer; signal?: AbortSignal },
): Promise<Overcharged> {
  const random = randomOf(seed);
  const found: Overcharged = { tried: {}, accepted: [], gainOverBound: 0n };
  const ledger = await openPayerLedger({ store, identity, clock }, domain);
  const account: AccountView = {
    ...{ balance: rich, line: rich, bond: rich, closeAtMs: undefined, owner: identity.address, readAtMs: clock.nowMs() },
  };
  await ledger.begin();
  await ledger.reconcile(account);
  type Served = { bytes: bigint; sinceMs: number | undefined; tell(bytes: bigint): void };
  const nothing = (): Served => ({ bytes: 0n, sinceMs: undefined, tell: () => undefined });
  let now = nothing();
  const truth = ({ bytes, sinceMs } = now): Usage => ({ bytes, ms: sinceMs === undefined ? 0 : clock.nowMs() - sinceMs });
  const service: ServiceConsumer = {
    kind: "units",
    check: async () => undefined,
    open: async ({ onUsage }) => {
      Object.assign(now, { sinceMs: clock.nowMs(), tell: onUsage });
      const mine = now;
      return { usedBytes: () => mine.bytes, unanswered: () => ({ nowMs: 0, beyondMs: 0 }), endpoint: {}, close: async () => mine.bytes };
    },
  };
  onSession((stream) =>
    lie(stream, random, {
      truth,
      serve: (bytes) => {
        now.bytes += bytes;
        now.tell(now.bytes);
      },
      told: (what) => {
        found.tried[what] = (found.tried[what] ?? 0) + 1;
      },
    }),
  );
  const offer = { offer: { ...exit, addresses: [], country: "US", services: [{ kind: "units", ...prices }] }, sources: [] };
  const deps = {
    network,
    judging: { choose: async (found: KnownOffer[]) => found, shown: async (exits: ExitView[]) => exits, note: async () => undefined },
    discovery: { search: async () => [offer as unknown as KnownOffer], find: async function* () {}, offers: () => [] },
    ...{
      unit: { symbol: "MYST", decimals: 18 },
      self: { peer: identity.peerId },
      account: async () => account,
      recall: async () => undefined,
    },
    session: {
      ...{ network, ledger, service, clock, log: silentLogger, signer: identity.address, line: () => rich, ...(step && { step }) },
      signTerms: (session: Uint8Array, channel: `0x${string}`, terms: Parameters<typeof termsData>[3]) =>
        identity.sign(termsDigest(domain, termsData(session, identity.address, channel, terms))),
    } satisfies ConsumerDeps,
  };
  for (let i = 0; i < sessions && !signal?.aborted; i += 1) {
    const mine = nothing();
    now = mine;
    const before = ledger.totals().total;
    const watch = {
      ...{ signal: new AbortController().signal, step: () => undefined },
      onChange: ({ bought }: { bought: Usage }) => {
        const { bytes, ms } = truth(mine);
        if (bought.bytes > bytes + quantumBound(bytes) || bought.ms > ms + QUANTUM_MS + slackMs)
          found.accepted.push(`overcharge: ${bought.bytes} bytes and ${bought.ms} ms bought with ${bytes} and ${ms} used`);
      },
    };
    const options = { service: "units" as never, maxPerGiB: rich, maxPerHour: rich, budget: 1_000n * myst };
    const opened = await connectToExit(deps, options, watch).catch(() => undefined);
    if (opened) {
      await Promise.race([opened.session.ended, wait(forMs)]);
      await opened.session.disconnect();
    }
    const over = ledger.totals().total - before - due(prices, truth(mine)) - quantumMoney(prices, mine.bytes);
    found.gainOverBound = i === 0 ? over : larger(found.gainOverBound, over);
  }
  return found;
}

type Lying = { truth(): Usage; serve(bytes: bigint): void; told(what: string): void };

/** An exit that takes what is promised and counts as it likes. */
async function lie(stream: FrameStream, random: Random, { truth, serve, told }: Lying): Promise<void> {
  const say = (message: ToConsumer) => stream.send(toConsumerCodec.encode(message));
  const first = toProviderCodec.decode((await stream.receive()) ?? new Uint8Array());
  if (first.t !== "propose") return;
  const cumulative = first.promise?.cumulative ?? 0n;
  if (random.int(3) === 0) {
    told("used up");
    const consumed = random.of([cumulative, first.consumed + 1n, first.consumed + first.quantum, cumulative + 1n]);
    await say({ t: "refused", code: "CREDIT_MISMATCH", message: "more was used up before", consumed });
    return;
  }
  await say({ t: "accepted", termsSignature: new Uint8Array(64), connection: {} });
  let bought = first.bought;
  let over = false;
  const inflated = (): Usage => {
    const { bytes, ms } = truth();
    const quantum = quantumBound(bytes);
    return random.of<Usage>([
      { bytes: bytes + quantum + 1n + random.big(30), ms },
      { bytes, ms: ms + QUANTUM_MS + 1 + random.int(1e6) },
      { bytes: bytes + quantum, ms: ms + QUANTUM_MS },
      { bytes: random.big(63), ms: random.int(2 ** 48) },
      { bytes: bought.bytes, ms: bought.ms },
      { bytes: 0n, ms: 0 },
    ]);
  };
  const count = async () => {
    // what it serves it serves; some of these serve nothing at all
    const serves = random.int(3) > 0;
    while (!over) {
      const left = bought.bytes - truth().bytes;
      if (serves && left > 0n) serve((random.big(20) % left) + 1n);
      told("invoice");
      await say({ t: "invoice", used: random.int(4) === 0 ? truth() : inflated() });
      await wait(5 + random.int(20));
    }
  };
  const counting = count().catch(() => undefined);
  try {
    for (let frame = await stream.receive(); frame; frame = await stream.receive()) {
      const message = toProviderCodec.decode(frame);
      if (message.t === "promise") {
        bought = message.bought;
        await say({ t: "ack", n: message.n });
      }
      if (message.t !== "close") continue;
      told("final count");
      await say({ t: "closed", used: inflated() });
    }
  } finally {
    over = true;
    await counting;
  }
}
