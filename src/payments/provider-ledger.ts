import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Store } from "../lib/store.ts";
import { type Acceptance, acceptPromise, type ProviderLimits, refuse, type Sight } from "./channel.ts";
import type { ClearingDomain, ClearingNetwork } from "./eip712.ts";
import { groupCommit } from "./group-commit.ts";
import { createIntake } from "./intake.ts";
import { createOwing } from "./owing.ts";
import { channelId, type SignedPromise } from "./promise.ts";
import { accountRecord, corrupt, ledgerTable, providerChannelRecord, readRecord } from "./records.ts";
import type { AccountView } from "./settlement.ts";
import { type FindSigners, findSignersInline } from "./signers.ts";

/** A channel at its provider. Two payers may choose one salt, so it takes both to name one. */
export type ChannelRef = { signer: Hex; channel: Hex };

/** One channel of a payer to us. */
export type ProviderChannel = ChannelRef & {
  /** the payer's peer id */
  peer: string;
  salt: Uint8Array;
  /** the newest promise, the only one that matters */
  best: SignedPromise;
  /** best's cumulative, base units */
  cumulative: bigint;
  /** of it, used up by service */
  consumed: bigint;
  /** what the contract has paid on it */
  paid: bigint;
};

export type PromiseOffer = {
  signer: Hex;
  /** the payer's peer id */
  peer: string;
  salt: Uint8Array;
  promise: SignedPromise;
  /** base units used up on the channel so far, persisted along */
  consumed: bigint;
  /** what the contract has paid on the channel, for one that is not known here */
  paid?: bigint;
};

export type AcceptConditions = {
  /** false: the last view of the account serves, however old */
  chainReachable: boolean;
  /** nothing new is taken: a settlement of ours is late */
  overdue?: boolean;
  limits: ProviderLimits;
  /** what others know and have promised them; without it no limit follows from that */
  watch?: Watch | undefined;
};

/** Whoever knows what a payer has signed elsewhere. */
export type Watch = {
  sight(ref: ChannelRef, promise: SignedPromise): Sight;
  /** The payer has signed this for certain, whether it is accepted or not. */
  take(signer: Hex, promise: SignedPromise): void;
};

/** What others have promised to this node. */
export type ProviderLedger = {
  /** whose it is and where it counts */
  self: Hex;
  network: ClearingNetwork;
  /** undefined before its first promise */
  channel(ref: ChannelRef): ProviderChannel | undefined;
  channels(): ProviderChannel[];
  channelsOf(signer: Hex): ProviderChannel[];
  /** cumulative - paid over all channels of one payer, base units */
  unsettled(signer: Hex): bigint;
  /** Has the contract ever paid anything of this payer's here? */
  hasCleared(signer: Hex): boolean;
  /**
   * Decides on a promise (`acceptPromise`) and, when it is accepted, resolves once it, or a newer one of its channel that came while it
   * waited and covers it, is on disk: only then ack it or serve on it. What comes while a check or a write is under way shares the next one.
   */
  accept(offer: PromiseOffer, conditions: AcceptConditions): Promise<Acceptance>;
  /** Records what is used up at a session's end; never falls, never exceeds the cumulative. */
  consume(ref: ChannelRef, consumed: bigint): Promise<void>;
  /** Says that a claim up to `cumulative` is being collected, so that the contract may have paid it at any time; kept in memory only. */
  claiming(ref: ChannelRef, cumulative: bigint): void;
  /** Records what the contract has paid on a channel in all; falls only where the chain was `reorganised`. */
  settled(ref: ChannelRef, paid: bigint, reorganised?: boolean): Promise<void>;
  /** The payer's account as last read, also before a restart. */
  account(signer: Hex): AccountView | undefined;
  rememberAccount(signer: Hex, view: AccountView): Promise<void>;
};

export type ProviderLedgerDeps = {
  store: Pick<Store, "table" | "write">;
  self: Hex;
  clock: Clock;
  /** where signatures are checked; by default on the event loop */
  findSigners?: FindSigners;
};

/** `onDisk` is the state last written, undefined before the first write has ended. */
type Entry = { now: ProviderChannel; onDisk: ProviderChannel | undefined; claimed: bigint };

/** Reads what was promised to `self` on this contract. @throws STORE_CORRUPT */
export async function openProviderLedger(deps: ProviderLedgerDeps, domain: ClearingDomain): Promise<ProviderLedger> {
  const { store, self, clock } = deps;
  const table = ledgerTable(store, "provider", domain, self);
  const commit = groupCommit((ops) => store.write(ops));
  const intake = createIntake(deps.findSigners ?? findSignersInline(domain));
  const entries = new Map<string, Entry>();
  const bySigner = new Map<Hex, Set<Entry>>();
  const accounts = new Map<Hex, AccountView>();
  const owing = createOwing();

  const enter = (ref: ChannelRef, now: ProviderChannel, onDisk: ProviderChannel | undefined): Entry => {
    const entry = { now, onDisk, claimed: now.paid };
    entries.set(keyOf(ref), entry);
    owing.changed(undefined, now);
    bySigner.set(ref.signer, (bySigner.get(ref.signer) ?? new Set()).add(entry));
    return entry;
  };
  const change = (entry: Entry, now: ProviderChannel) => {
    owing.changed(entry.now, now);
    entry.now = now;
  };
  const persist = async (entry: Entry) => {
    const written = entry.now;
    try {
      await commit.put(table.put(`channel/${keyOf(written)}`, providerChannelRecord.encode(written)));
      entry.onDisk = written;
    } catch (error) {
      // A newer state is on its way to the disk, and whole in itself: only the last one is taken back.
      if (entry.now === written) takeBack(entry);
      throw error;
    }
  };
  const takeBack = (entry: Entry) => {
    if (entry.onDisk) change(entry, entry.onDisk);
    else {
      owing.changed(entry.now, undefined);
      entries.delete(keyOf(entry.now));
      bySigner.get(entry.now.signer)?.delete(entry);
    }
  };
  const known = (ref: ChannelRef): Entry => {
    const entry = entries.get(keyOf(ref));
    if (!entry) throw new MystError("INTERNAL", `no channel ${ref.channel}`);
    return entry;
  };
  /** over the channels of a signer but one */
  const others = (signer: Hex, but?: Entry) => {
    let unsettled = 0n;
    let unclaimed = 0n;
    for (const entry of bySigner.get(signer) ?? []) {
      if (entry === but) continue;
      unsettled += positive(entry.now.cumulative - entry.now.paid);
      unclaimed += positive(entry.now.cumulative - larger(entry.claimed, entry.now.paid));
    }
    return { unsettled, unclaimed };
  };

  /** everything but the signature, by what is known now */
  const judge = ({ signer, salt, promise, paid: already = 0n }: PromiseOffer, conditions: AcceptConditions): Acceptance => {
    const entry = entries.get(keyOf({ signer, channel: promise.channel }));
    // By the salt it is offered under: a promise of another channel, known here as it may be, pays for nothing on this one.
    const channel = entry && Buffer.compare(entry.now.salt, salt) === 0 ? entry.now.channel : channelId(self, salt);
    const paid = entry?.now.paid ?? already;
    const state = { signer, channel, best: entry?.now.best, paid, claimed: larger(entry?.claimed ?? 0n, paid) };
    const { watch, ...given } = conditions;
    return acceptPromise(state, promise, {
      ...given,
      sight: watch?.sight({ signer, channel }, promise),
      strangers: owing.strangersBeside(signer),
      nowMs: clock.nowMs(),
      account: accounts.get(signer),
      others: others(signer, entry),
    });
  };
  const accept = async (offer: PromiseOffer, conditions: AcceptConditions): Promise<Acceptance> => {
    const { signer, promise } = offer;
    const first = judge(offer, conditions);
    if (!first.accepted) return first;
    if (!first.fresh) return keep(offer, first);
    return intake.check({
      signer,
      promise,
      // Others were decided on while the signature was checked, so the limits are looked at again, in one go with taking it.
      conclude: async (by) => {
        if (by !== signer) return refuse("bad-signature");
        conditions.watch?.take(signer, promise);
        return keep(offer, judge(offer, conditions));
      },
    });
  };
  /** Takes what was accepted, at once in memory; resolves when it is on disk. */
  const keep = async (
    { signer, peer, salt, promise, consumed: used, paid: already = 0n }: PromiseOffer,
    result: Acceptance,
  ): Promise<Acceptance> => {
    if (!result.accepted) return result;
    const ref = { signer, channel: promise.channel };
    const entry = entries.get(keyOf(ref));
    if (!result.fresh) {
      if (entry && entry.onDisk !== entry.now) await persist(entry);
      return result;
    }
    const { consumed: before = 0n, paid = already } = entry?.now ?? {};
    // what was cleared is used up: nobody has it served again because the record of that is lost
    const consumed = between(before, entry ? used : larger(used, already), promise.cumulative);
    const now = { ...ref, peer, salt: entry?.now.salt ?? salt, best: promise, cumulative: promise.cumulative, consumed, paid };
    if (entry) change(entry, now);
    await persist(entry ?? enter(ref, now, undefined));
    return result;
  };

  for await (const [, bytes] of table.entries("channel/")) {
    const channel = readRecord(providerChannelRecord, bytes);
    if (channel.best.channel !== channel.channel || channelId(self, channel.salt) !== channel.channel)
      throw corrupt("a promise stands under another channel");
    const loaded = { ...channel, cumulative: channel.best.cumulative };
    enter(loaded, loaded, loaded);
  }
  for await (const [key, bytes] of table.entries("account/"))
    accounts.set(key.slice("account/".length) as Hex, { closeAtMs: undefined, ...readRecord(accountRecord, bytes) });

  return {
    self,
    network: domain,
    channel: (ref) => entries.get(keyOf(ref))?.now,
    channels: () => [...entries.values()].map((entry) => entry.now),
    channelsOf: (signer) => [...(bySigner.get(signer) ?? [])].map((entry) => entry.now),
    unsettled: (signer) => others(signer).unsettled,
    hasCleared: (signer) => [...(bySigner.get(signer) ?? [])].some(({ now }) => now.paid > 0n),
    accept,
    consume: async (ref, amount) => {
      const entry = known(ref);
      const consumed = between(entry.now.consumed, amount, entry.now.cumulative);
      if (consumed === entry.now.consumed) return;
      change(entry, { ...entry.now, consumed });
      await persist(entry);
    },
    claiming: (ref, cumulative) => {
      const entry = known(ref);
      entry.claimed = larger(entry.claimed, cumulative);
    },
    settled: async (ref, paid, reorganised = false) => {
      const entry = known(ref);
      if (paid === entry.now.paid || (paid < entry.now.paid && !reorganised)) return;
      if (paid < entry.now.paid) entry.claimed = paid;
      change(entry, { ...entry.now, paid });
      await persist(entry);
    },
    account: (signer) => accounts.get(signer),
    rememberAccount: async (signer, view) => {
      accounts.set(signer, view);
      await commit.put(table.put(`account/${signer}`, accountRecord.encode(view)));
    },
  };
}

/** One string for a channel: "<signer>/<channel>". */
export const keyOf = (ref: ChannelRef): string => `${ref.signer}/${ref.channel}`;
const positive = (amount: bigint): bigint => larger(amount, 0n);
/** `wanted`, held between `floor` and `cap`. */
const between = (floor: bigint, wanted: bigint, cap: bigint): bigint => larger(floor, wanted < cap ? wanted : cap);
