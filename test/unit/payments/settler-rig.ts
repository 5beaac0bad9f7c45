import assert from "node:assert/strict";
import { createIdentity } from "../../../src/identity/identity.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { type ErrorCode, isMystError, MystError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { ClearingCosts } from "../../../src/payments/clearing-policy.ts";
import { channelId, signPromise } from "../../../src/payments/promise.ts";
import { type ChannelRef, openProviderLedger, type ProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { readRecord, settlementRecord } from "../../../src/payments/records.ts";
import type { Claim, Receipt, Settlement } from "../../../src/payments/settlement.ts";
import { createSettler, type Settled, type SettlerOptions } from "../../../src/payments/settler.ts";
import { account, clockAt, domain, memoryStore, nowMs, provider, salt } from "./fixtures.ts";

const payers = Array.from({ length: 60 }, (_, i) => createIdentity(new Uint8Array(32).fill(i + 10)));
const channel = channelId(provider.address, salt);
export const refOf = (n: number): ChannelRef => ({ signer: (payers[n] as (typeof payers)[0]).address, channel });
const keyOf = (claim: Pick<Claim, "signer" | "salt">) => `${claim.signer}/${channelId(provider.address, claim.salt)}`;

export type Trouble = "down" | "dead" | "lostAnswer" | "noGas" | "stuck";

/** A contract with a mempool of its own: pays cumulative - paid once per transaction, however often that is sent. */
export function fakeChain(balance = 10n ** 18n) {
  const paid = new Map<string, bigint>();
  const mined = new Map<Hex, Receipt>();
  const prepared = new Map<Hex, Claim[]>();
  let nonce = 0;
  const chain = {
    /** what the next call of each kind meets */
    trouble: [] as Trouble[],
    down: false,
    dear: false,
    /** whether a transaction may be replaced by one with higher fees */
    raisable: true,
    /** what each transaction, and each raise, might have cost */
    limits: [] as (bigint | undefined)[],
    raises: [] as (bigint | undefined)[],
    submits: [] as { raw: Hex; earlier: Hex[] }[],
    costs: { first: 0n, next: 0n } as ClearingCosts,
    paid,
    mined,
    transactions: () => [...mined.values()],
    onSubmit: (_raw: Hex) => undefined as undefined | Promise<void>,
  };
  const reach = () => {
    if (chain.down) throw new MystError("RPC_UNREACHABLE", "no answer");
  };
  const settlement: Settlement = {
    account: async () => account(),
    costs: async () => {
      reach();
      return chain.costs;
    },
    isMined: async (hash) => [...mined.values()].some((receipt) => receipt.hash === hash),
    raise: async (raw, maxCost) => {
      reach();
      chain.raises.push(maxCost);
      if (!chain.raisable) return undefined;
      const higher: Hex = `${raw}ff`;
      prepared.set(higher, prepared.get(raw) ?? []);
      return { raw: higher, hash: `0x${higher.slice(2).padStart(64, "0")}`, nonce };
    },
    paid: async (signer, id) => {
      reach();
      return paid.get(`${signer}/${id}`) ?? 0n;
    },
    prepareSettle: async (claims, _, { maxCost } = {}) => {
      reach();
      chain.limits.push(maxCost);
      if (chain.dear) throw new MystError("GAS_PRICE_HIGH", "dear");
      if (chain.trouble[0] === "noGas") {
        chain.trouble.shift();
        throw new MystError("INSUFFICIENT_GAS", "no gas");
      }
      nonce += 1;
      const raw: Hex = `0x${nonce.toString(16).padStart(4, "0")}`;
      prepared.set(raw, claims);
      return { raw, hash: `0x${nonce.toString(16).padStart(64, "0")}`, nonce };
    },
    submit: async (raw, claims, _, { earlier = [] } = {}) => {
      await chain.onSubmit(raw);
      chain.submits.push({ raw, earlier });
      reach();
      const trouble = chain.trouble.shift();
      if (trouble === "down") throw new MystError("RPC_UNREACHABLE", "no answer");
      if (trouble === "stuck") throw new MystError("TRANSACTION_STUCK", "in no block");
      if (trouble === "dead") throw new MystError("TRANSACTION_FAILED", "the nonce is taken");
      // of the variants of one nonce only one is ever mined
      const there = [raw, ...earlier].map((each) => mined.get(each)).find((each) => each !== undefined);
      const receipt = there ?? {
        hash: `0x${raw.slice(2).padStart(64, "0")}` as Hex,
        credited: 0n,
        paid: claims.map((claim) => {
          const before = paid.get(keyOf(claim)) ?? 0n;
          const owed = claim.cumulative > before ? claim.cumulative - before : 0n;
          const pay = owed < balance ? owed : balance;
          paid.set(keyOf(claim), before + pay);
          return pay;
        }),
      };
      if (!there) mined.set(raw, receipt);
      if (trouble === "lostAnswer") throw new MystError("RPC_UNREACHABLE", "the answer was lost");
      return receipt;
    },
  };
  return { chain, settlement };
}

const seqs = { n: 0n };
export async function promise(ledger: ProviderLedger, n: number, cumulative: bigint): Promise<void> {
  const identity = payers[n] as (typeof payers)[0];
  seqs.n += 1n;
  const signed = signPromise(domain, identity, { channel, cumulative, total: cumulative, seq: (BigInt(nowMs) << 20n) + seqs.n });
  await ledger.rememberAccount(identity.address, account());
  const offer = { signer: identity.address, peer: identity.peerId, salt, promise: signed, consumed: 0n };
  const result = await ledger.accept(offer, { chainReachable: true, limits: { maxUnsettled: 10n ** 9n, minBond: 0n } });
  assert.ok(result.accepted, JSON.stringify(result));
}

type SetUp = { store?: ReturnType<typeof memoryStore>; options?: Partial<SettlerOptions>; fake?: ReturnType<typeof fakeChain> };
export async function setUp({ store = memoryStore(), options = {}, fake = fakeChain() }: SetUp = {}) {
  const clock = clockAt();
  const ledger = await openProviderLedger({ store, self: provider.address, clock }, domain);
  const deps = { settlement: fake.settlement, ledger, store, log: silentLogger, clock, payout: provider.address };
  const settler = createSettler(deps, { settleAt: 1_000n, ...options });
  const events: Settled[] = [];
  settler.onSettled((settled) => events.push(settled));
  return { ...fake, store, ledger, settler, events, clock };
}
export const until = async (condition: () => boolean) => {
  for (let i = 0; i < 2_000 && !condition(); i += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(condition(), "did not come about");
};
export const still = async () => {
  for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
};
export const fails = (code: ErrorCode) => (error: unknown) => isMystError(error, code);

export function stored(disk: Map<string, Uint8Array>) {
  const bytes = [...disk].find(([key]) => key.endsWith("/pending"))?.[1];
  return bytes && readRecord(settlementRecord, bytes);
}
export const storedRaw = (disk: Map<string, Uint8Array>): Hex | undefined => stored(disk)?.raw;
