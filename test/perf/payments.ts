import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { recoverTypedDataAddress } from "viem/utils";
import { createIdentity, type Identity } from "../../src/identity/identity.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { openStore, type Store } from "../../src/lib/store.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { type Heads, openHeads } from "../../src/payments/heads/heads.ts";
import { channelId, newSalt, promiseSigner, type SignedPromise, signPromise } from "../../src/payments/promise.ts";
import { openProviderLedger, type ProviderLedger } from "../../src/payments/provider-ledger.ts";
import { createSigners, type FindSigners } from "../../src/payments/signers.ts";
import { toProviderCodec } from "../../src/session/messages.ts";
import type { Measurement } from "../support/report.ts";
import { measureStreams } from "./support/promise-streams.ts";

const payerCount = 100;
/** promises of one run: as many of each payer */
const perRun = 2_000;
const viemSample = 200;
const paced = { perSecond: 1_000, seconds: 2 };
/** so many of one payer wait together where they are coalesced */
const together = 10;
/** 100 sessions, each as often as one may buy: 1,000 promises a second in all; and as fast as they are acknowledged */
const streams = { rounds: 20, everyMs: 100 };

const domain = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });
const provider = createIdentity(new Uint8Array(32).fill(2));
const conditions = { chainReachable: true, limits: { maxUnsettled: 10n ** 15n, minBond: 0n } };
const typed = {
  domain: { name: "MystClearing", version: "1", chainId: domain.chainId, verifyingContract: domain.contract },
  types: {
    Promise: [
      { name: "channel", type: "bytes32" },
      { name: "cumulative", type: "uint96" },
      { name: "total", type: "uint96" },
      { name: "seq", type: "uint64" },
    ],
  },
  primaryType: "Promise",
} as const;

type Payer = { identity: Identity; salt: Uint8Array; channel: `0x${string}`; cumulative: bigint };
type Message = { payer: Payer; bytes: Uint8Array };

const newPayers = (): Payer[] =>
  Array.from({ length: payerCount }, (_, i) => {
    const salt = newSalt();
    return { identity: createIdentity(new Uint8Array(32).fill(i + 10)), salt, channel: channelId(provider.address, salt), cumulative: 0n };
  });

/** `count` frames of sessions as they come from the wire, each payer's in order. */
function messages(payers: Payer[], count: number): Message[] {
  const firstSeq = BigInt(Date.now()) << 20n;
  return Array.from({ length: count }, (_, i) => {
    const payer = payers[i % payers.length] as Payer;
    payer.cumulative += 1_000n;
    const { channel, cumulative } = payer;
    const promise = signPromise(domain, payer.identity, { channel, cumulative, total: cumulative, seq: firstSeq + BigInt(i) });
    return { payer, bytes: toProviderCodec.encode({ t: "promise", n: i + 1, bought: { bytes: cumulative, ms: 0 }, promise }) };
  });
}

function promiseIn({ bytes }: Message): SignedPromise {
  const message = toProviderCodec.decode(bytes);
  if (message.t !== "promise" || !message.promise) throw new Error("that is no promise");
  return message.promise;
}

type Exit = { ledger: ProviderLedger; heads: Heads };

/** With what it knows and tells of payers elsewhere, as whoever serves; somebody hears it. */
async function openExit(store: Store, payers: Payer[], findSigners: FindSigners): Promise<Exit> {
  const ledger = await openProviderLedger({ store, self: provider.address, clock: systemClock, findSigners }, domain);
  const money = 10n ** 18n;
  const view = { balance: money, line: money, bond: money, closeAtMs: undefined, owner: provider.address, readAtMs: Date.now() };
  await Promise.all(payers.map(({ identity }) => ledger.rememberAccount(identity.address, view)));
  const network = { subscribe: async () => undefined, publish: async () => 1 };
  const heads = await openHeads({
    ...{ network, ledger, findSigners, store, clock: systemClock, log: silentLogger, exits: () => 50 },
    look: async () => undefined,
    onConflict: () => {
      throw new Error("honest payers are taken for cheats");
    },
  });
  return { ledger, heads };
}

/** From bytes to disk, as a session does it. */
async function receive({ ledger, heads }: Exit, message: Message): Promise<void> {
  const { payer } = message;
  const { identity, salt } = payer;
  const offer = { signer: identity.address, peer: identity.peerId, salt, promise: promiseIn(message), consumed: payer.cumulative };
  const result = await ledger.accept(offer, { ...conditions, watch: heads.watch });
  if (!result.accepted) throw new Error(`a promise was refused: ${result.refusal}`);
  heads.accepted({ signer: offer.signer, channel: payer.channel });
}

/** Seconds of one core that `work` takes, its threads included. */
async function cpuSeconds(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** `each` promises of every payer at a time: of several only the newest is checked and kept, and what comes together shares a write. */
async function flood(exit: Exit, all: Message[], each = 1): Promise<void> {
  const at = each * payerCount;
  for (let from = 0; from < all.length; from += at) await Promise.all(all.slice(from, from + at).map((message) => receive(exit, message)));
}

/** So many a second, handed over every 5 ms. */
async function pace(all: Message[], receive: (message: Message) => Promise<void>, signal: AbortSignal): Promise<void> {
  const beganMs = performance.now();
  const under: Promise<void>[] = [];
  let sent = 0;
  while (sent < all.length && !signal.aborted) {
    const due = Math.min(all.length, Math.floor(((performance.now() - beganMs) * paced.perSecond) / 1000));
    for (; sent < due; sent += 1) under.push(receive(all[sent] as Message));
    await wait(5);
  }
  await Promise.all(under);
}

const payments: Measurement = {
  about: "promises from bytes-in to disk, a second of one core; with viem's recovery; over real streams beside an echo of the same bytes",
  runs: 5,
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const directory = await mkdtemp(join(tmpdir(), "mystnode-bench-"));
    try {
      await using store = await openStore(directory);
      await using signers = createSigners(domain, silentLogger);
      let checked = 0;
      const payers = newPayers();
      const exit = await openExit(store, payers, (promises) => {
        checked += promises.length;
        return signers.find(promises);
      });
      await using _ = exit.heads;
      await flood(exit, messages(payers, perRun));
      checked = 0;
      let pipeline = 0;
      let wall = 0;
      let done = 0;
      let sample: SignedPromise[] = [];
      for (; done < runs && !signal.aborted; done += 1) {
        const all = messages(payers, perRun);
        const beganMs = performance.now();
        pipeline += await cpuSeconds(() => flood(exit, all));
        wall += (performance.now() - beganMs) / 1000;
        sample = all.slice(0, viemSample).map(promiseIn);
        log(`${(done + 1) * perRun} promises`);
      }
      // a figure of promises that were not checked one by one would be none
      const skipped = done * perRun - checked;
      const each = pipeline / Math.max(1, done * perRun);
      const waiting = messages(payers, perRun);
      const coalesced = (await cpuSeconds(() => flood(exit, waiting, together))) / perRun;
      const own = (await cpuSeconds(() => sample.map((promise) => promiseSigner(domain, promise)))) / viemSample;
      const viems = (await cpuSeconds(() => recoverByViem(sample))) / viemSample;
      const seconds = done * paced.seconds;
      let atPaceCpu = 0;
      let pacing = 0;
      for (let run = 0; run < done && !signal.aborted; run += 1) {
        const steady = messages(payers, paced.perSecond * paced.seconds);
        pacing += await cpuSeconds(() => pace(steady, async () => undefined, signal));
        atPaceCpu += await cpuSeconds(() => pace(steady, (message) => receive(exit, message), signal));
      }
      // what wakes this process every 5 ms is no part of an exit
      const cpu = (atPaceCpu - pacing) / Math.max(1, seconds);
      log("streams");
      const atPace = await measureStreams({ ...streams, runs }, signal);
      const atOnce = await measureStreams({ ...streams, runs, everyMs: 0 }, signal);
      return {
        runs: done,
        failures: skipped,
        figures: [
          {
            name: "promisesPerCoreSecond",
            value: Math.round(1 / each),
            unit: "1/s",
            better: "higher",
            beside: { name: "with viem's recovery", value: Math.round(1 / (each - own + viems)) },
          },
          { name: "coalescedPerCoreSecond", value: Math.round(1 / coalesced), unit: "1/s", better: "higher" },
          { name: "promisesPerSecond", value: Math.round((done * perRun) / wall), unit: "1/s", better: "higher" },
          {
            name: "recoversPerCoreSecond",
            value: Math.round(1 / own),
            unit: "1/s",
            better: "higher",
            beside: { name: "viem", value: Math.round(1 / viems) },
          },
          {
            name: "pipelineCpuAt1000",
            value: round(cpu),
            unit: "core",
            better: "lower",
            beside: { name: "taken off: the pacing with nobody who receives", value: round(pacing / Math.max(1, seconds)) },
          },
          { name: "pipelineOverRecovery", value: round(cpu / (paced.perSecond * own)), unit: "times", better: "lower" },
          {
            name: "streamsOverEcho",
            value: round(atPace.promises / atPace.echo),
            unit: "times",
            better: "lower",
            beside: { name: "flat out", value: round(atOnce.promises / atOnce.echo) },
          },
          {
            name: "streamsCpuAt1000",
            value: round((1_000 * atPace.promises) / atPace.count),
            unit: "core",
            better: "lower",
            beside: { name: "echo", value: round((1_000 * atPace.echo) / atPace.count) },
          },
        ],
        tried: {
          promises: (done + 2) * perRun + paced.perSecond * seconds,
          recoveries: 2 * sample.length,
          "promises over streams": atPace.count + atOnce.count,
        },
      };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

const round = (value: number): number => Math.round(value * 1000) / 1000;

async function recoverByViem(promises: SignedPromise[]): Promise<void> {
  for (const { signature, ...message } of promises)
    await recoverTypedDataAddress({ ...typed, message, signature: viemSignature(signature) });
}

/** viem takes the compact form apart itself, but only with v spelled out. */
function viemSignature(compact: Uint8Array) {
  const hex = Buffer.from(compact).toString("hex");
  const vs = BigInt(`0x${hex.slice(64)}`);
  const s = vs & ((1n << 255n) - 1n);
  return { r: `0x${hex.slice(0, 64)}`, s: `0x${s.toString(16).padStart(64, "0")}`, yParity: Number(vs >> 255n) } as const;
}

export default payments;
