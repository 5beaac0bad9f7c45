import type { Hex } from "../../../../src/lib/codec.ts";
import type { Table } from "../../../../src/lib/store.ts";
import { epochOf } from "../../../../src/reputation/epoch.ts";
import { type Judged, judgedBy, type Known } from "../../../../src/reputation/explanation.ts";
import { type Ledger, type LedgerOptions, openLedger } from "../../../../src/reputation/ledger.ts";
import { type SignedPair, signPair } from "../../../../src/reputation/record.ts";
import { type Flows, flowsOf, type Own, type Ratings } from "../../../../src/reputation/score.ts";
import { nothingSeen } from "../../../../src/reputation/telling.ts";
import { draws } from "../../../support/draws.ts";

export const nowMs = 1_790_000_000_000;
const epoch = epochOf(nowMs);
/** base units of a token with 18 decimals */
export const coin = 10n ** 18n;
const hex = (kind: number, index: number): Hex => `0x${kind.toString(16).padStart(2, "0")}${index.toString(16).padStart(38, "0")}`;
export const honestExit = (index: number): Hex => hex(1, index);
export const honestPayer = (index: number): Hex => hex(2, index);
export const sybilExit = (index: number): Hex => hex(3, index);
export const sybilPayer = (index: number): Hex => hex(4, index);

/** One payer's week with one exit. `spent` in whole tokens. */
export type Deal = { payer: Hex; provider: Hex; spent: number; sessions: number; fails: number };

export const exitCount = 50;
const payerCount = 400;
/** an exit's session ends well so often */
const goodShare = 0.97;

/** A market of honest people: some exits are used more than others, each payer uses a few, some pay much more than others. */
export function honestDeals(seed: number): Deal[] {
  const random = draws(seed);
  const popularity = Array.from({ length: exitCount }, (_, index) => 1 / (5 + index));
  const all = popularity.reduce((a, b) => a + b, 0);
  const pick = (): number => {
    let left = random() * all;
    const found = popularity.findIndex((share) => {
      left -= share;
      return left < 0;
    });
    return found < 0 ? 0 : found;
  };
  return Array.from({ length: payerCount }, (_, index) => index).flatMap((index) => {
    const budget = -Math.log(1 - random());
    const used = new Set(Array.from({ length: 3 + Math.floor(random() * 4) }, pick));
    return [...used].map((exit): Deal => {
      const sessions = 3 + Math.floor(random() * 15);
      const fails = Array.from({ length: sessions }, random).filter((value) => value > goodShare).length;
      return { payer: honestPayer(index), provider: honestExit(exit), spent: (budget * (0.2 + random())) / used.size, sessions, fails };
    });
  });
}

/** What exits have taken in, by exit. */
export function revenues(deals: readonly Deal[]): Map<Hex, number> {
  const sums = new Map<Hex, number>();
  for (const { provider, spent } of deals) sums.set(provider, (sums.get(provider) ?? 0) + spent);
  return sums;
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const network = { chainId: 1, contract: `0x${"00".repeat(20)}` as Hex };
const noSignature = new Uint8Array(64);

/** As it is signed, but for the signature: a forged one never comes this far. */
export const signed = ({ payer, provider, spent, sessions, fails }: Deal): SignedPair =>
  signPair({ sign: () => noSignature }, network, {
    ...{ payer, provider, epoch, seq: 1, settled: BigInt(Math.max(1, Math.round(spent * 1e9))) * 10n ** 9n },
    ...{ salts: [new Uint8Array(12)], sessions, fails, flags: 0 },
  });

/** The same without its encoding, which costs a hundred times what is done with it: for those that nothing contradicts. */
function told({ payer, provider, spent, sessions, fails }: Deal): SignedPair {
  const record = { payer, provider, epoch, seq: 1, settled: BigInt(Math.max(1, Math.round(spent * 1e9))) * 10n ** 9n };
  return { record: { ...record, salts: [], sessions, fails, flags: 0 }, body: new Uint8Array(), signature: noSignature };
}

/** A ledger that has been told of these deals, in an order of chance. */
export async function ledgerOf(deals: readonly Deal[], seed: number, options: LedgerOptions = {}): Promise<Ledger> {
  const random = draws(seed);
  const revenue = revenues(deals.filter(({ payer }) => payer.startsWith("0x02")));
  // what it would write is not looked at
  const table: Table = {
    get: async () => undefined,
    async *entries() {},
    put: (key, value) => ({ type: "put", key, value }),
    del: (key) => ({ type: "del", key }),
  };
  const matters = (provider: Hex) => revenue.has(provider);
  const deps = { store: { writeLazily: async () => undefined }, table, clock: { nowMs: () => nowMs }, matters };
  const ledger = await openLedger(deps, options);
  const order = deals.map((deal) => ({ deal, at: random() })).sort((a, b) => a.at - b.at);
  for (const { deal } of order) ledger.take(told(deal), deal.spent * 1e18);
  return ledger;
}

export type Observer = { self: Hex; own: Own[] };

/** Some of the honest payers, with what they have seen themselves. */
export function observers(deals: readonly Deal[], count: number): Observer[] {
  const selves = Array.from({ length: count }, (_, index) => honestPayer((index * 17) % payerCount));
  return selves.map((self) => ({
    self,
    own: deals
      .filter(({ payer }) => payer === self)
      .map(({ provider, spent, sessions, fails }) => ({ provider, volume: spent * 1e18, ok: sessions - fails, fail: fails })),
  }));
}

/** what the network asks for at least, and what that is after 90 days */
const minBond = coin;
const full = minBond * BigInt(90 * 86_400_000);
export const staked = { bond: minBond, aged: full };
export const unstaked = { bond: 0n, aged: 0n };

export type Heard = { ratings: Ratings; records: Ledger["records"] };
export const heardBy = async (deals: readonly Deal[], seed: number, options?: LedgerOptions): Promise<Heard> => {
  const ledger = await ledgerOf(deals, seed, options);
  return { ratings: ledger.ratings(), records: ledger.records };
};

/** What an observer thinks of exits, from what it has heard. `change` takes a defence away, to see what it is good for. */
export function judging({ self, own }: Observer, { ratings, records }: Heard, change: (flows: Flows) => Flows = (flows) => flows) {
  const known: Known = { own, ratings, flows: change(flowsOf(self, own, ratings)), seen: () => nothingSeen, records };
  return { known, judge: (provider: Hex, stake = unstaked): Judged => judgedBy(known, provider, stake, full) };
}
