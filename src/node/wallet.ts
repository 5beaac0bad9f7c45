import type { Chain } from "../chain/chain.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { Settler } from "../payments/settler.ts";
import type { ChannelView, Node } from "./types.ts";

export type WalletDeps = {
  chain: Chain;
  address: Hex;
  payer: PayerLedger;
  provider: ProviderLedger;
  /** where cleared money goes */
  payout(): Hex;
  /** the one in use while serving, or one for the moment */
  withSettler<T>(use: (settler: Settler) => Promise<T>): Promise<T>;
};

/** The node's money: what the chain says and what its ledgers say, side by side. */
export function createWallet({ chain, address, payer, provider, payout, withSettler }: WalletDeps): Node["wallet"] {
  const channels = async (): Promise<ChannelView[]> => {
    const asPayer = payer.channels().map(async ({ channel, peer, cumulative, consumed }) => ({
      role: "payer" as const,
      channel,
      peer,
      cumulative,
      consumed,
      paid: await chain.paid(address, channel),
    }));
    const asProvider = provider.channels().map(({ channel, peer, best, consumed, paid }) => ({
      role: "provider" as const,
      channel,
      peer,
      cumulative: best.cumulative,
      consumed,
      paid,
    }));
    return [...(await Promise.all(asPayer)), ...asProvider];
  };
  return {
    channels,
    show: async () => {
      const [account, { tokens, gas }, credit] = await Promise.all([
        chain.account(address),
        chain.balances(address),
        chain.credit(address),
      ]);
      const promised = payer.totals().total;
      const spent = account.line - account.balance;
      return {
        address,
        tokens,
        gas,
        deposit: account.balance,
        bond: account.bond,
        line: account.line,
        promised,
        liabilities: promised > spent ? promised - spent : 0n,
        unsettled: provider.channels().reduce((sum, { best, paid }) => sum + best.cumulative - paid, 0n),
        credit,
        ...(account.closeAtMs !== undefined && { closeAtMs: account.closeAtMs }),
      };
    },
    deposit: async (amount, bond) => {
      // A ledger that begins before its account does is known to be whole.
      await payer.reconcile(await chain.account(address));
      const { hash } = await chain.deposit(amount, bond);
      await payer.reconcile(await chain.account(address));
      return { hash };
    },
    withdraw: async () => {
      const { closeAtMs, line } = await chain.account(address);
      if (closeAtMs !== undefined) return chain.withdraw();
      if (line === 0n)
        throw new MystError("NO_DEPOSIT", "nothing is on deposit", { hint: "make a deposit with 'mystnode wallet deposit'" });
      // Nothing may be signed after a close, so the mark is on disk before the transaction goes out.
      await payer.close();
      return chain.close();
    },
    settle: async () => {
      const settled = await withSettler((settler) => settler.settleNow());
      if ((await chain.credit(address)) === 0n) return { ...settled, collected: 0n };
      const { collected } = await chain.collect(payout());
      return { ...settled, collected };
    },
  };
}
