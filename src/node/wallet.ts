import type { Chain, Sending, Sent, WalletOutcome } from "../chain/chain.ts";
import type { Identity } from "../identity/identity.ts";
import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import { serially } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { Settled, Settler } from "../payments/settler.ts";
import { createWriteOffs } from "../payments/write-offs.ts";
import type { Handed } from "../watch/handed.ts";
import { outsideWallet } from "./outside-wallet.ts";

import type { RetiredKeys } from "./retired.ts";
import { openWalletJournal } from "./wallet-journal.ts";
import type { SettleView, Wallet, WalletOptions } from "./wallet-types.ts";
import { payerChannelView, providerChannelView, walletView } from "./wallet-views.ts";

export type WalletDeps = {
  chain: Chain;
  network: NetworkConfig;
  identity: Pick<Identity, "address" | "sign">;
  payer: PayerLedger;
  provider: ProviderLedger;
  handed: Pick<Handed, "watched">;
  store: Pick<Store, "table" | "write">;
  clock: Clock;
  log: Logger;
  retired: RetiredKeys;
  /** channels that a session runs on */
  active(): ReadonlySet<Hex>;
  /** where cleared money goes */
  payout(): Hex;
  /** the one in use while serving, or one for the moment */
  withSettler<T>(use: (settler: Settler) => Promise<T>): Promise<T>;
  /** fires when the node ends */
  signal: AbortSignal;
};

/** The node's money: what the chain says and what its ledgers say, side by side. */
export function createWallet(deps: WalletDeps): Wallet {
  const { chain, network, identity, payer, provider, store, clock, log, payout } = deps;
  const { address } = identity;
  const journal = openWalletJournal(store, network, address);
  const inOrder = serially();

  /** One transaction at a time. One that an earlier run has left is taken up first, and is the answer when it was for the same. */
  const perform = (intent: string, options: WalletOptions, act: (sending: Sending) => Promise<WalletOutcome>): Promise<WalletOutcome> =>
    inOrder(async () => {
      const signal = options.signal ? AbortSignal.any([deps.signal, options.signal]) : deps.signal;
      const sendingFor = (what: string): Sending => ({
        signal,
        onPrepared: async (sent: Sent) => {
          await journal.keep({ ...sent, intent: what });
          options.onSent?.({ what: sent.step, hash: sent.hash });
        },
      });
      const finish = async (work: Promise<WalletOutcome>) => {
        try {
          const outcome = await work;
          // who has gone away is not told, and asks again
          if (!signal.aborted) await journal.forget();
          return outcome;
        } catch (error) {
          if (isMystError(error, "TRANSACTION_FAILED")) await journal.forget();
          throw error;
        }
      };
      const left = await journal.read();
      if (left) {
        options.onSent?.({ what: left.step, hash: left.hash, again: true });
        const outcome = await finish(chain.finish(left, sendingFor(left.intent))).catch((error) => {
          // it never was, and never will be: what was wanted is done anew
          if (!isMystError(error, "TRANSACTION_FAILED")) throw error;
        });
        if (outcome && left.intent === intent && left.step !== "approve") return outcome;
      }
      return await finish(act(sendingFor(intent)));
    });

  const closeOwn = async (sending: Sending) => {
    const { line, bond, owner, closeAtMs } = await chain.account(address);
    if (line + bond === 0n)
      throw new MystError("NO_DEPOSIT", "nothing is on deposit", { hint: "make a deposit with 'mystnode wallet deposit'" });
    // Nothing may be signed after a close, so the mark is on disk before the transaction goes out.
    if (owner === address && closeAtMs === undefined) await payer.close();
    return chain.close(address, sending);
  };

  const isRetired = async (signer: Hex) => (await deps.retired.list()).includes(signer);
  const retiredAccounts = async () => {
    const accounts = (await deps.retired.list()).map(async (signer) => {
      const { balance: deposit, bond, closeAtMs } = await chain.account(signer);
      return { signer, deposit, bond, ...(closeAtMs !== undefined && { closeAtMs }) };
    });
    return (await Promise.all(accounts)).filter(({ deposit, bond }) => deposit + bond > 0n);
  };

  const channels: Wallet["channels"] = async () => {
    const common = { active: deps.active(), nowMs: clock.nowMs() };
    const closeAtMs = payer.account()?.closeAtMs;
    const asPayer = payer.channels().map(async (channel) => {
      const paid = await chain.paid(address, channel.channel);
      return payerChannelView(channel, { ...common, signer: address, paid, closeAtMs });
    });
    const asProvider = provider.channels().map((channel) => {
      const watched = deps.handed.watched(channel, common.nowMs);
      return providerChannelView(channel, {
        ...common,
        closeAtMs: provider.account(channel.signer)?.closeAtMs,
        ...(watched && { watched }),
      });
    });
    return [...(await Promise.all(asPayer)), ...asProvider].sort((a, b) => b.lastMs - a.lastMs);
  };

  const settle = async ({ all = false, signal, onSent }: WalletOptions & { all?: boolean }): Promise<SettleView> => {
    const gas = all ? undefined : await chain.costs();
    const owed = provider.channels().filter(({ cumulative, paid }) => cumulative > paid);
    const worth = owed.filter(({ cumulative, paid }) => gas === undefined || cumulative - paid > gas.next);
    const sum = (of: typeof owed) => of.reduce((total, { cumulative, paid }) => total + cumulative - paid, 0n);
    const pays = worth.length > 0 && (gas === undefined || sum(worth) > gas.first + gas.next * BigInt(worth.length - 1));
    const chosen = new Set(pays ? worth : []);
    const settled = await deps.withSettler(async (settler) => {
      const rows: SettleView["settled"] = [];
      const note = ({ hash, claims }: Settled) => {
        for (const { signer, channel, paid } of claims)
          rows.push({ hash, signer, channel, paid, peer: provider.channel({ signer, channel })?.peer ?? "" });
        onSent?.({ what: "settle", hash });
      };
      const off = settler.onSettled(note);
      try {
        const keys = new Set([...chosen].map(({ signer, channel }) => `${signer}/${channel}`));
        const done = settler.settleNow(({ signer, channel }) => keys.has(`${signer}/${channel}`));
        return { ...(await unless(done, signal)), settled: rows };
      } finally {
        off();
      }
    });
    const left = sum(owed.filter((channel) => !chosen.has(channel)));
    const short = sum(
      [...chosen].map((channel) => provider.channel(channel) ?? channel).filter(({ cumulative, paid }) => cumulative > paid),
    );
    const done = { ...settled, left, short };
    const credit = await chain.credit(address);
    if (credit === 0n || (gas !== undefined && credit <= gas.next)) return { ...done, collected: 0n, kept: credit };
    const to = payout();
    try {
      const options = { ...(signal && { signal }), ...(onSent && { onSent }) };
      const { collected = 0n } = await perform(`collect ${to}`, options, (sending) => chain.collect(to, sending));
      return { ...done, collected, kept: 0n };
    } catch (error) {
      // what the token does not let through stays ours; what was cleared is cleared all the same
      if (!isMystError(error, "TRANSACTION_FAILED")) throw error;
      return { ...done, collected: 0n, kept: credit };
    }
  };

  const outside = outsideWallet({ chain, network, identity, payer });
  return {
    ...outside,
    account: async (signer) => {
      const account = await outside.account(signer);
      return signer !== undefined && (await isRetired(signer)) ? { ...account, retired: true } : account;
    },
    channels,
    settle: (options = {}) => settle(options),
    show: async () => {
      const [account, { tokens, gas }, credit, writtenOff, unfinished, retired] = await Promise.all([
        chain.account(address),
        chain.balances(address),
        chain.credit(address),
        createWriteOffs({ ledger: provider, store, log, clock }).total(),
        journal.read(),
        retiredAccounts(),
      ]);
      const money = walletView({
        ...{ address, account, tokens, gas, credit, writtenOff },
        promised: payer.totals().total,
        payerChannels: payer.channels(),
        providerChannels: provider.channels(),
      });
      return {
        ...money,
        ...(retired.length > 0 && { retired }),
        ...(unfinished && { unfinished: { what: unfinished.step, hash: unfinished.hash } }),
      };
    },
    deposit: async (amount, bond, { signer = address, consent, ...options } = {}) => {
      const own = signer === address;
      // A ledger that begins before its account does is known to be whole.
      if (own) await payer.reconcile(await chain.account(address));
      const account = own ? identity : { address: signer, ...(consent !== undefined && { consent }) };
      // Asked again, the same words are the same wish, although nothing of a bond is missing once it is there.
      const { hash } = await perform(`deposit ${amount} ${bond ?? "what is missing"} ${signer}`, options, async (sending) =>
        chain.deposit(amount, bond ?? missingBond(network, await chain.account(signer)), account, sending),
      );
      if (own) await payer.reconcile(await chain.account(address));
      return { hash };
    },
    close: async ({ signer = address, ...options } = {}) => {
      const { hash, closeAtMs = 0 } = await perform(`close ${signer}`, options, (sending) =>
        signer === address ? closeOwn(sending) : chain.close(signer, sending),
      );
      return { hash, closeAtMs };
    },
    adopt: async () => payer.adopt(await chain.account(address)),
    move: async (to, options = {}) => {
      const { hash } = await perform(`move ${to}`, options, (sending) => chain.move(to, sending));
      return { hash };
    },
    balances: chain.balances,
    withdraw: async ({ signer = address, to = address, ...options } = {}) => {
      if (signer !== address && (await isRetired(signer)))
        return createWallet({ ...deps, ...(await deps.retired.open(signer)), retired: noneRetired }).withdraw({ to, ...options });
      const {
        hash,
        withdrawn = 0n,
        credited = 0n,
      } = await perform(`withdraw ${signer} ${to}`, options, (sending) => chain.withdraw(signer, to, sending));
      return { hash, withdrawn, credited };
    },
  };
}

const noneRetired: RetiredKeys = {
  list: async () => [],
  open: async (address) => {
    throw new MystError("IDENTITY_MISSING", `${address} was not retired here`);
  },
};

const missingBond = ({ minBond }: NetworkConfig, { bond }: { bond: bigint }): bigint => larger(minBond - bond, 0n);

/** What `work` gives, unless `signal` fires first: then who asked waits no longer, and the work goes on or is taken up another time. */
async function unless<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new MystError("INTERRUPTED", "stopped waiting for what is being cleared"));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
