import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { recoverTypedDataAddress } from "viem/utils";
import { createIdentity, type Identity } from "../../src/identity/identity.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { cborCodec } from "../../src/lib/codec.ts";
import { openStore, type Store } from "../../src/lib/store.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { channelId, newSalt, promiseSigner, type SignedPromise, signPromise, wirePromise } from "../../src/payments/promise.ts";
import { openProviderLedger, type ProviderLedger } from "../../src/payments/provider-ledger.ts";
import type { Measurement } from "../support/report.ts";

const payerCount = 100;
/** promises of one run: as many of each payer */
const perRun = 2_000;
const viemSample = 200;
const paced = { perSecond: 1_000, seconds: 3 };

const domain = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });
const provider = createIdentity(new Uint8Array(32).fill(2));
const codec = cborCodec(wirePromise, 200);
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

/** `count` messages as they come from the wire, each payer's in order. */
function messages(payers: Payer[], count: number): Message[] {
  const firstSeq = BigInt(Date.now()) << 20n;
  return Array.from({ length: count }, (_, i) => {
    const payer = payers[i % payers.length] as Payer;
    payer.cumulative += 1_000n;
    const { channel, cumulative } = payer;
    const promise = signPromise(domain, payer.identity, { channel, cumulative, total: cumulative, seq: firstSeq + BigInt(i) });
    return { payer, bytes: codec.encode(promise) };
  });
}

async function openLedger(store: Store, payers: Payer[]): Promise<ProviderLedger> {
  const ledger = await openProviderLedger({ store, self: provider.address, clock: systemClock }, domain);
  const money = 10n ** 18n;
  const view = { balance: money, line: money, bond: money, closeAtMs: undefined, owner: provider.address, readAtMs: Date.now() };
  await Promise.all(payers.map(({ identity }) => ledger.rememberAccount(identity.address, view)));
  return ledger;
}

/** From bytes to disk, as a session does it. */
async function receive(ledger: ProviderLedger, { payer, bytes }: Message): Promise<void> {
  const { identity, salt } = payer;
  const offer = { signer: identity.address, peer: identity.peerId, salt, promise: codec.decode(bytes), consumed: payer.cumulative };
  const result = await ledger.accept(offer, conditions);
  if (!result.accepted) throw new Error(`a promise was refused: ${result.refusal}`);
}

/** Seconds of one core that `work` takes, its threads included. */
async function cpuSeconds(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** One promise of every payer at a time: what comes while the disk is busy shares the next write. */
async function flood(ledger: ProviderLedger, all: Message[]): Promise<void> {
  for (let from = 0; from < all.length; from += payerCount)
    await Promise.all(all.slice(from, from + payerCount).map((message) => receive(ledger, message)));
}

async function pace(ledger: ProviderLedger, all: Message[], signal: AbortSignal): Promise<void> {
  const beganMs = performance.now();
  const under: Promise<void>[] = [];
  let sent = 0;
  while (sent < all.length && !signal.aborted) {
    const due = Math.min(all.length, Math.floor(((performance.now() - beganMs) * paced.perSecond) / 1000));
    for (; sent < due; sent += 1) under.push(receive(ledger, all[sent] as Message));
    await wait(5);
  }
  await Promise.all(under);
}

const payments: Measurement = {
  about: "promises from bytes-in to disk, a second of one core; beside the same with viem's recovery of signers",
  runs: 5,
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const directory = await mkdtemp(join(tmpdir(), "mystnode-bench-"));
    try {
      await using store = await openStore(directory);
      const payers = newPayers();
      const ledger = await openLedger(store, payers);
      await flood(ledger, messages(payers, perRun));
      let pipeline = 0;
      let wall = 0;
      let done = 0;
      let sample: SignedPromise[] = [];
      for (; done < runs && !signal.aborted; done += 1) {
        const all = messages(payers, perRun);
        const beganMs = performance.now();
        pipeline += await cpuSeconds(() => flood(ledger, all));
        wall += (performance.now() - beganMs) / 1000;
        sample = all.slice(0, viemSample).map(({ bytes }) => codec.decode(bytes));
        log(`${(done + 1) * perRun} promises`);
      }
      const each = pipeline / Math.max(1, done * perRun);
      const own = (await cpuSeconds(() => sample.map((promise) => promiseSigner(domain, promise)))) / viemSample;
      const viems = (await cpuSeconds(() => recoverByViem(sample))) / viemSample;
      const steady = messages(payers, paced.perSecond * paced.seconds);
      const cpu = (await cpuSeconds(() => pace(ledger, steady, signal))) / paced.seconds;
      return {
        runs: done,
        failures: 0,
        figures: [
          {
            name: "promisesPerCoreSecond",
            value: Math.round(1 / each),
            unit: "1/s",
            better: "higher",
            beside: { name: "with viem's recovery", value: Math.round(1 / (each - own + viems)) },
          },
          { name: "promisesPerSecond", value: Math.round((done * perRun) / wall), unit: "1/s", better: "higher" },
          {
            name: "recoversPerCoreSecond",
            value: Math.round(1 / own),
            unit: "1/s",
            better: "higher",
            beside: { name: "viem", value: Math.round(1 / viems) },
          },
          { name: "pipelineCpuAt1000", value: Math.round(cpu * 1000) / 10, unit: "% of a core", better: "lower" },
        ],
        tried: { promises: (done + 1) * perRun + steady.length, recoveries: 2 * sample.length },
      };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

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
