import { createIdentity, type Identity } from "../../../src/identity/identity.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { Network } from "../../../src/network/network.ts";
import { signCheck } from "../../../src/payments/check.ts";
import { channelId, type SignedPromise, signPromise } from "../../../src/payments/promise.ts";
import type { AccountView, Claim, ClearingForOthers, Receipt } from "../../../src/payments/settlement.ts";
import { type HandedCheck, type HandedOutcome, watchAnswerCodec, watchQuestionCodec } from "../../../src/watch/protocol.ts";
import { startWatcher, type WatcherOptions } from "../../../src/watch/watcher.ts";
import { account, domain, memoryStore, nowMs } from "../payments/fixtures.ts";

export const dayMs = 86_400_000;
export const hourMs = 3_600_000;
export const identityOf = (n: number): Identity => createIdentity(new Uint8Array(32).fill(n));
export const self = identityOf(99);
export const turns = async (count = 200) => {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Time that passes when it is told to: who sleeps is woken as it comes to pass. */
export function virtualClock(startMs = nowMs) {
  let ms = startMs;
  const sleepers = new Set<{ untilMs: number; wake(): void }>();
  const clock: Clock = {
    nowMs: () => ms,
    sleep: (forMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = {
          untilMs: ms + forMs,
          wake: () => {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
  };
  const pass = async (forMs: number) => {
    ms += forMs;
    for (const sleeper of [...sleepers]) if (sleeper.untilMs <= ms) sleeper.wake();
    await turns();
  };
  return { clock, pass };
}

type Answerer = (question: Uint8Array, from: string) => Promise<Uint8Array>;

/** A network of those who answer, by peer id. */
export function wire() {
  const answerers = new Map<string, Answerer>();
  const asked: string[] = [];
  return {
    asked,
    answerers,
    answering: (peer: string): Pick<Network, "answer"> => ({
      answer: async (_, { maxQuestion }, answerer) =>
        void answerers.set(peer, async (question, from) => {
          if (question.length > maxQuestion) throw new MystError("MALFORMED", "too long");
          return answerer(question, from);
        }),
    }),
    asking: (from: string): Pick<Network, "ask" | "connect"> => ({
      connect: async (peer) => {
        if (!answerers.has(peer)) throw new MystError("PEER_UNREACHABLE", "gone");
      },
      ask: async (peer, _, question) => {
        asked.push(peer);
        return (answerers.get(peer) as Answerer)(question, from);
      },
    }),
  };
}

/** A contract that pays by checks; its accounts are what a test puts there. */
export function fakeContract() {
  const state = {
    accounts: new Map<Hex, AccountView>(),
    paid: new Map<string, bigint>(),
    costs: { first: 0n, next: 0n },
    down: false,
    /** it turns out that gas costs more than it is worth */
    dear: false,
    reads: 0,
    /** keys of what each transaction has claimed */
    transactions: [] as string[][],
    limits: [] as (bigint | undefined)[],
    mined: new Set<string>(),
  };
  const prepared = new Map<Hex, Claim[]>();
  const reach = () => {
    if (state.down) throw new MystError("RPC_UNREACHABLE", "no answer");
  };
  const keyOf = ({ signer, salt, check }: Claim) => `${signer}/${channelId(check?.provider ?? "0x", salt)}`;
  const chain: ClearingForOthers = {
    account: async (signer) => {
      reach();
      state.reads += 1;
      return state.accounts.get(signer) ?? account({ balance: 0n, line: 0n, bond: 0n });
    },
    paid: async (signer, channel) => {
      reach();
      state.reads += 1;
      return state.paid.get(`${signer}/${channel}`) ?? 0n;
    },
    isMined: async (hash) => state.mined.has(hash),
    clearCosts: async () => {
      reach();
      return state.costs;
    },
    prepareClear: async (claims, { maxCost } = {}) => {
      reach();
      state.limits.push(maxCost);
      if (state.dear) throw new MystError("GAS_PRICE_HIGH", "dear");
      const raw: Hex = `0x${(prepared.size + 1).toString(16).padStart(4, "0")}`;
      prepared.set(raw, claims);
      return { raw, hash: `0x${raw.slice(2).padStart(64, "0")}`, nonce: prepared.size };
    },
    raise: async () => undefined,
    submit: async (raw) => {
      reach();
      const claims = prepared.get(raw) as Claim[];
      state.transactions.push(claims.map(keyOf));
      const receipt: Receipt = { hash: `0x${raw.slice(2).padStart(64, "0")}`, credited: 0n, paid: [] };
      for (const claim of claims) {
        const key = keyOf(claim);
        const owed = claim.cumulative - (state.paid.get(key) ?? 0n);
        receipt.paid.push(owed > 0n ? owed : 0n);
        if (owed > 0n) state.paid.set(key, claim.cumulative);
      }
      state.mined.add(receipt.hash);
      return receipt;
    },
  };
  return { state, chain };
}

export type Handing = Partial<{
  payer: Identity;
  provider: Identity;
  salt: number;
  cumulative: bigint;
  total: bigint;
  seq: bigint;
  feeBps: number;
  to: Hex;
  deadlineMs: number;
  place: number;
}>;
export const payerOf = (n: number) => identityOf(10 + n);
export const providerIdentity = identityOf(2);

/** A promise of the first payer's to a provider, with the provider's check. */
export function handed(of: Handing = {}): HandedCheck {
  const { payer = payerOf(0), provider = providerIdentity, cumulative = 1_000n, total = cumulative, place = 0, feeBps = 200 } = of;
  const { salt: fill = 3, to = provider.address, deadlineMs = nowMs + 30 * dayMs, seq = (BigInt(nowMs) << 20n) + cumulative } = of;
  const salt = new Uint8Array(12).fill(fill);
  const promise: SignedPromise = signPromise(domain, payer, { channel: channelId(provider.address, salt), cumulative, total, seq });
  const check = signCheck(domain, provider, promise, { to, feeBps, deadline: BigInt(Math.floor(deadlineMs / 1000)) });
  return { signer: payer.address, salt, place, promise, check };
}
export const keyOf = ({ signer, promise }: HandedCheck): string => `${signer}/${promise.channel}`;

type SetUp = {
  store?: ReturnType<typeof memoryStore>;
  contract?: ReturnType<typeof fakeContract>;
  options?: Partial<WatcherOptions>;
  time?: ReturnType<typeof virtualClock>;
};

/** A watcher with a payer that has 1,000,000 on deposit, and what asks it. */
export async function setUp({ store = memoryStore(), contract = fakeContract(), options = {}, time = virtualClock() }: SetUp = {}) {
  const net = wire();
  const here = new Set<string>();
  if (contract.state.accounts.size === 0) contract.state.accounts.set(payerOf(0).address, account());
  const watcher = await startWatcher(
    {
      ...{ network: net.answering(self.peerId), chain: contract.chain, domain, self: self.address, minBond: 100n },
      ...{ store, clock: time.clock, log: silentLogger, here: () => here },
    },
    { feeBps: 200, ...options },
  );
  const askRaw = (bytes: Uint8Array, from = providerIdentity) =>
    net.asking(from.peerId).ask(self.peerId, "", bytes, new AbortController().signal);
  const ask = async (checks: HandedCheck[], from = providerIdentity): Promise<HandedOutcome[]> =>
    watchAnswerCodec.decode(await askRaw(watchQuestionCodec.encode({ checks }), from)).outcomes;
  return { ...contract, ...time, net, here, watcher, store, ask, askRaw };
}
