import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Store } from "../lib/store.ts";
import { nextPromise } from "./channel.ts";
import type { ClearingDomain } from "./eip712.ts";
import { loadPayer, type PayerChannel, type PayerStanding, standingError } from "./payer-state.ts";
import { channelId, newSalt, promiseSigner, type SignedPromise, samePromise, signPromise } from "./promise.ts";
import { accountRecord, ledgerTable, payerChannelRecord, signerRecord } from "./records.ts";
import type { AccountView } from "./settlement.ts";

export type { PayerChannel, PayerStanding } from "./payer-state.ts";

export type PromiseRequest = {
  channel: Hex;
  /** the channel's new cumulative; equal to the present one: the last promise is returned again */
  cumulative: bigint;
  /** base units used up so far, persisted along */
  consumed: bigint;
  /** all deposits of the account, as last read: no total goes over it */
  line: bigint;
};

/** What this node has promised: one signer, one ledger, one machine. */
export type PayerLedger = {
  totals(): { seq: bigint; total: bigint; standing: PayerStanding };
  /** the own account as last given to `reconcile`, also before a restart */
  account(): AccountView | undefined;
  channels(): PayerChannel[];
  channel(channel: Hex): PayerChannel | undefined;
  /** The channel in use with a provider, made with a fresh salt (and persisted) where there is none. */
  channelWith(provider: { address: Hex; peer: string }): Promise<PayerChannel>;
  /**
   * Signs the next promise of a channel. It is on disk when this resolves: only then may it be sent. Undefined when nothing has
   * been promised on the channel and nothing is asked for.
   * @throws INSUFFICIENT_FUNDS over `line`, ACCOUNT_CLOSING, LEDGER_BEHIND, RPC_UNREACHABLE while `unproven`, STORE_FULL
   */
  promise(request: PromiseRequest): Promise<SignedPromise | undefined>;
  /** Records what is used up at a session's end; never falls, never exceeds the cumulative. */
  consume(channel: Hex, consumed: bigint): Promise<void>;
  /**
   * Holds the ledger against the chain: before the first promise after a start, and with each new view. `paid`: per channel, where known.
   * A new signer becomes `open` here, a closing one `closing`.
   * @throws LEDGER_BEHIND when the chain knows of more than is recorded; it stays so
   */
  reconcile(account: AccountView, paid?: ReadonlyMap<Hex, bigint>): Promise<void>;
  /**
   * Holds the ledger against a promise that somebody shows as ours.
   * @throws LEDGER_BEHIND when it bears our signature and the ledger lacks it; it stays so
   */
  shown(promise: SignedPromise): Promise<void>;
  /** For a key made just now, which nobody can have used: `open` without asking the chain. */
  begin(): Promise<void>;
  /** Nothing is signed once this resolves. */
  close(): Promise<void>;
  /** The database is a copy, or lacks its last writes: what may sign is `restored` from here on. */
  suspect(): Promise<void>;
  /**
   * Somebody says that a `restored` ledger is the newest there is: it is `open` again, unless the account knows better.
   * @returns false when it was not restored @throws as `reconcile` does
   */
  adopt(account: AccountView): Promise<boolean>;
};

export type PayerLedgerDeps = { store: Pick<Store, "table" | "write">; identity: Pick<Identity, "address" | "sign">; clock: Clock };

/** Reads the ledger of this signer on this contract. @throws STORE_CORRUPT */
export async function openPayerLedger(deps: PayerLedgerDeps, domain: ClearingDomain): Promise<PayerLedger> {
  const { store, identity, clock } = deps;
  const table = ledgerTable(store, "payer", domain, identity.address);
  const state = await loadPayer(table);
  const inOrder = serially();

  const signerOp = (standing: Exclude<PayerStanding, "unproven">, total: bigint) =>
    table.put("signer", signerRecord.encode({ seq: state.signer.seq, total, standing }));
  const channelOp = (channel: PayerChannel) => table.put(`channel/${channel.channel}`, payerChannelRecord.encode(channel));
  const known = (channel: Hex): PayerChannel => {
    const found = state.channels.get(channel);
    if (!found) throw new MystError("INTERNAL", `no channel ${channel}`);
    return found;
  };
  /** in memory first: whatever becomes of the write, this process signs nothing more */
  const stopSigning = async (standing: "closing" | "restored" | "behind") => {
    state.signer.standing = standing;
    await store.write([signerOp(standing, state.signer.total)]);
  };
  const begin = async () => {
    if (state.signer.standing !== "unproven") return;
    await store.write([signerOp("open", state.signer.total)]);
    state.signer.standing = "open";
  };
  const behind = async (why: string): Promise<never> => {
    await stopSigning("behind");
    throw standingError("behind", why);
  };

  const promise = async ({ channel: id, cumulative, consumed, line }: PromiseRequest) => {
    const { signer } = state;
    if (signer.standing !== "open") throw standingError(signer.standing);
    const channel = known(id);
    if (cumulative < channel.cumulative) throw new MystError("INTERNAL", "a promise may not fall");
    if (cumulative === channel.cumulative) return channel.last;
    const next = nextPromise(signer, channel, cumulative, clock.nowMs());
    if (next.total > line) throw overLine(next.total, line);
    // Used up from here on, even if the write fails: it may have reached the disk all the same.
    signer.seq = next.seq;
    const last = signPromise(domain, identity, next);
    const raised = { ...channel, cumulative, consumed: between(channel.consumed, consumed, cumulative), last };
    await store.write([signerOp("open", next.total), channelOp(raised)]);
    signer.total = next.total;
    state.channels.set(id, raised);
    return last;
  };

  const reconcile = async (account: AccountView, paid: ReadonlyMap<Hex, bigint>) => {
    const { signer } = state;
    await store.write([table.put("account", accountRecord.encode(account))]);
    state.account = account;
    if (signer.standing === "behind") throw standingError("behind");
    if (account.closeAtMs !== undefined) return signer.standing === "closing" ? undefined : stopSigning("closing");
    if (signer.standing === "closing") return;
    if (signer.standing === "unproven") return account.line > 0n ? behind("the account was opened without this ledger") : begin();
    if (account.line - account.balance > signer.total) await behind("the contract has paid more than was promised here");
    for (const [id, amount] of paid)
      if (amount > (state.channels.get(id)?.cumulative ?? 0n))
        await behind("the contract has paid more on a channel than was promised here");
  };

  return {
    totals: () => ({ ...state.signer }),
    account: () => state.account,
    channels: () => [...state.channels.values()],
    channel: (id) => state.channels.get(id),
    channelWith: ({ address, peer }) =>
      inOrder(async () => {
        const inUse = [...state.channels.values()]
          .filter((channel) => channel.provider === address)
          .sort((a, b) => b.openedMs - a.openedMs)[0];
        if (inUse) return inUse;
        const salt = newSalt();
        const channel = channelId(address, salt);
        const made = { channel, provider: address, peer, salt, cumulative: 0n, consumed: 0n, openedMs: clock.nowMs() };
        await store.write([channelOp(made)]);
        state.channels.set(channel, made);
        return made;
      }),
    promise: (request) => inOrder(() => promise(request)),
    consume: (id, amount) =>
      inOrder(async () => {
        const channel = known(id);
        const consumed = between(channel.consumed, amount, channel.cumulative);
        if (consumed === channel.consumed) return;
        await store.write([channelOp({ ...channel, consumed })]);
        state.channels.set(id, { ...channel, consumed });
      }),
    reconcile: (account, paid = new Map()) => inOrder(() => reconcile(account, paid)),
    shown: (promise) =>
      inOrder(async () => {
        const { signer } = state;
        const channel = state.channels.get(promise.channel);
        const lacking =
          promise.seq > signer.seq ||
          promise.total > signer.total ||
          promise.cumulative > (channel?.cumulative ?? 0n) ||
          (channel?.last?.seq === promise.seq && !samePromise(channel.last, promise));
        // the signature last: anybody may show us anything
        if (lacking && isOurs(domain, promise, identity.address)) await behind("a promise with this key's signature is not recorded here");
      }),
    begin: () => inOrder(begin),
    close: () => inOrder(() => stopSigning("closing")),
    suspect: () => inOrder(async () => (state.signer.standing === "open" ? stopSigning("restored") : undefined)),
    adopt: (account) =>
      inOrder(async () => {
        const { signer } = state;
        if (signer.standing !== "restored") return false;
        await reconcile(account, new Map());
        // a close counts for more than what anybody says
        if (signer.standing !== "restored") throw standingError(signer.standing);
        await store.write([signerOp("open", signer.total)]);
        signer.standing = "open";
        return true;
      }),
  };
}

const overLine = (total: bigint, line: bigint) =>
  new MystError("INSUFFICIENT_FUNDS", "the deposit does not cover another promise", {
    hint: "add to it with 'mystnode wallet deposit AMOUNT'",
    meta: { total, line },
  });

/** `wanted`, held between `floor` and `cap`. */
const between = (floor: bigint, wanted: bigint, cap: bigint): bigint => {
  const capped = wanted < cap ? wanted : cap;
  return capped > floor ? capped : floor;
};

function isOurs(domain: ClearingDomain, promise: SignedPromise, address: Hex): boolean {
  try {
    return promiseSigner(domain, promise) === address;
  } catch {
    return false;
  }
}

/** Runs what it is given one after another. */
function serially(): <T>(work: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = tail.then(work);
    tail = done.catch(() => undefined);
    return done;
  };
}
