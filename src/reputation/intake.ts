import type { RecordDomain } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError } from "../lib/errors.ts";
import type { Validity } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";
import { backing, type ClearedIndex } from "./cleared.ts";
import { isKept } from "./epoch.ts";
import type { Ledger } from "./ledger.ts";
import { checkPayer, type Fork, type PairRecord, readFork, readPair, type SignedPair } from "./record.ts";

export type IntakeDeps = {
  ledger: Pick<Ledger, "compare" | "take" | "takeFork" | "isForked">;
  index: Pick<ClearedIndex, "inEpoch" | "byEpoch" | "hasCleared">;
  /** a channel's name in the contract's events, from its provider and salt */
  channelOf(provider: Hex, salt: Uint8Array): Hex;
  clock: Pick<Clock, "nowMs">;
  network: RecordDomain["network"];
  /** two records that were taken for one story turned out to be two */
  onFork(fork: Fork): void;
};

/** The one way into the ledger, whatever brought a record; the verdict is for whoever passed it on. Cheapest checks first, the signature last. */
export type Intake = {
  /** `asked`: it is part of an answer to us, which is bounded already; else its payer's rate counts */
  record(bytes: Uint8Array, asked?: boolean): Promise<Validity>;
  fork(bytes: Uint8Array): Promise<Validity>;
};

/** Updates of one payer, over all exits and weeks. */
const perPayer = { burst: 32, perSecond: 32 / 86_400 };
/** what clocks may be apart */
const maxAheadMs = 5 * 60_000;

/** Is what it says was settled no more than what was cleared in its week on the channels that it shows? */
export async function isBacked({ index, channelOf }: Pick<IntakeDeps, "index" | "channelOf">, record: PairRecord): Promise<boolean> {
  let cleared = 0n;
  for (const salt of record.salts) {
    cleared += await index.inEpoch(record.payer, channelOf(record.provider, salt), record.epoch);
    if (cleared >= record.settled) return true;
  }
  return false;
}

export function createIntake(deps: IntakeDeps): Intake {
  const { ledger, index, channelOf, clock, network } = deps;
  const said = createQuota(clock, perPayer);

  const judge = async (signed: SignedPair, asked: boolean): Promise<Validity> => {
    const { record } = signed;
    const nowMs = clock.nowMs();
    if (!isKept(record.epoch, nowMs) || record.seq > nowMs + maxAheadMs || ledger.isForked(record.payer)) return "ignore";
    const relation = ledger.compare(signed);
    // passed on once it was: gossip itself keeps what is the same to the letter from coming back
    if (relation === "same" || relation === "older" || !(asked || said.has(record.payer))) return "ignore";
    // our index may be behind another's: no fault of whoever passed it on
    if (!(await isBacked(deps, record))) return "ignore";
    checkPayer(signed, network);
    // only now is it proven that the payer itself said it
    if (!asked && !said.take(record.payer)) return "ignore";
    const channels = record.salts.map((salt) => channelOf(record.provider, salt));
    const fork = ledger.take(signed, await backing(index, record.payer, channels, nowMs));
    if (fork) deps.onFork(fork);
    return fork ? "ignore" : "accept";
  };
  const judgeFork = async (fork: Fork): Promise<Validity> => {
    const { payer } = fork.a.record;
    // whoever never cleared anything counts nothing anyway, and must not fill what is kept of forks
    if (ledger.isForked(payer) || !(await index.hasCleared(payer))) return "ignore";
    checkPayer(fork.a, network);
    checkPayer(fork.b, network);
    return ledger.takeFork(fork) ? "accept" : "ignore";
  };
  return {
    record: (bytes, asked = false) => told(async () => judge(readPair(bytes), asked)),
    fork: (bytes) => told(async () => judgeFork(readFork(bytes))),
  };
}

const told = async (judge: () => Promise<Validity>): Promise<Validity> => {
  try {
    return await judge();
  } catch (error) {
    return isMystError(error, "MALFORMED") || isMystError(error, "BAD_SIGNATURE") ? "reject" : "ignore";
  }
};
