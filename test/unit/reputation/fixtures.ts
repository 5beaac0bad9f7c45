import { createIdentity, type Identity } from "../../../src/identity/identity.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { channelId } from "../../../src/payments/promise.ts";
import { type ClearedEvent, createClearedIndex } from "../../../src/reputation/cleared.ts";
import { epochMs, epochOf } from "../../../src/reputation/epoch.ts";
import { type PairRecord, type SignedPair, signPair } from "../../../src/reputation/record.ts";
import { memoryStore as bareStore } from "../payments/fixtures.ts";

export const market = { chainId: 31337, contract: `0x${"ab".repeat(20)}` as Hex };
/** a week has just begun */
export const startMs = 2_960 * epochMs;
export const epoch = epochOf(startMs);
export const weekMs = epochMs;

/** The same key for the same number. */
export const identity = (number: number): Identity =>
  createIdentity(Uint8Array.from({ length: 32 }, (_, index) => (index === 31 ? number : 7)));
export const [alice, bob, carol] = [identity(1), identity(2), identity(3)] as const;
export const exit = (number: number): Hex => `0xe${number.toString(16).padStart(39, "0")}`;
export const saltOf = (number: number): Uint8Array => new Uint8Array(12).fill(number);

export const recordOf = (payer: Identity, change: Partial<PairRecord> = {}): PairRecord => ({
  ...{ payer: payer.address, provider: exit(1), epoch, seq: startMs, settled: 100n, salts: [saltOf(1)] },
  ...{ sessions: 4, fails: 1, flags: 0 },
  ...change,
});
export const signedBy = (payer: Identity, change: Partial<PairRecord> = {}, network = market): SignedPair =>
  signPair(payer, network, recordOf(payer, change));

export function fakeClock(nowMs = startMs) {
  let now = nowMs;
  return {
    nowMs: () => now,
    sleep: async () => undefined,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

export function memoryStore(disk = new Map<string, Uint8Array>()) {
  const { table, write } = bareStore(disk);
  return { disk, table, write, writeLazily: write };
}

/** An index on a table in memory, which is told what was cleared. */
export function indexed() {
  const store = memoryStore();
  const index = createClearedIndex(store.table("cleared"));
  let logIndex = 0;
  const tell = async (events: ClearedEvent[], rolledBackTo?: number) => store.write(await index.apply({ rolledBackTo, events }));
  const cleared = (payer: Hex, provider: Hex, salt: Uint8Array, paid: bigint, { atMs = startMs, block = 10 } = {}): ClearedEvent => {
    logIndex += 1;
    return { type: "cleared", signer: payer, channel: channelId(provider, salt), paid, block, logIndex, timeMs: atMs };
  };
  return { index, tell, cleared, store };
}
