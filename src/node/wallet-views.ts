import { larger } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import type { PayerChannel } from "../payments/payer-ledger.ts";
import type { ProviderChannel } from "../payments/provider-ledger.ts";
import type { AccountView } from "../payments/settlement.ts";
import type { ChannelState, ChannelView, WalletView } from "./wallet-types.ts";

const positive = (amount: bigint): bigint => larger(amount, 0n);

/** When a promise was signed: its seq is the time, to about a millisecond, shifted by 20 bits. */
export const signedAtMs = (seq: bigint): number => Number(seq >> 20n);

export type ChannelFacts = {
  cumulative: bigint;
  paid: bigint;
  /** a session runs on it */
  active: boolean;
  /** of its payer's account */
  closeAtMs: number | undefined;
  nowMs: number;
};

/** What has to be known of a channel at a glance. What is wholly cleared needs nobody's attention, whatever its payer does. */
export function channelState({ cumulative, paid, active, closeAtMs, nowMs }: ChannelFacts): ChannelState {
  if (active) return "active";
  if (paid >= cumulative) return cumulative === 0n ? "new" : "cleared";
  if (closeAtMs === undefined) return "open";
  return closeAtMs > nowMs ? "closing" : "closed";
}

type Common = { active: ReadonlySet<Hex>; nowMs: number };

export function payerChannelView(
  { channel, peer, cumulative, consumed, last, openedMs }: PayerChannel,
  { signer, paid, closeAtMs, active, nowMs }: Common & { signer: Hex; paid: bigint; closeAtMs: number | undefined },
): ChannelView {
  return {
    role: "payer",
    channel,
    signer,
    peer,
    cumulative,
    consumed,
    paid,
    unsettled: positive(cumulative - paid),
    lastMs: last ? signedAtMs(last.seq) : openedMs,
    state: channelState({ cumulative, paid, active: active.has(channel), closeAtMs, nowMs }),
  };
}

export function providerChannelView(
  { channel, signer, peer, best, consumed, paid }: ProviderChannel,
  { closeAtMs, active, nowMs, watched }: Common & { closeAtMs: number | undefined; watched?: ChannelView["watched"] },
): ChannelView {
  const { cumulative } = best;
  return {
    role: "provider",
    channel,
    signer,
    peer,
    cumulative,
    consumed,
    paid,
    unsettled: positive(cumulative - paid),
    lastMs: signedAtMs(best.seq),
    ...(watched && { watched }),
    state: channelState({ cumulative, paid, active: active.has(channel), closeAtMs, nowMs }),
  };
}

export type Money = {
  address: Hex;
  account: AccountView;
  tokens: bigint;
  gas: bigint;
  credit: bigint;
  /** all ever promised */
  promised: bigint;
  payerChannels: Pick<PayerChannel, "cumulative" | "consumed">[];
  providerChannels: Pick<ProviderChannel, "cumulative" | "paid">[];
  writtenOff: bigint;
};

const noOwner = /^0x0*$/;

/**
 * What a wallet has, owes, is owed, and may lose from here on if everybody else cheats. As payer: what is promised and not yet used,
 * when its exits stop serving; and the bond, but only when this key signs anywhere else. As provider: all that is not cleared.
 */
export function walletView(money: Money): Omit<WalletView, "unfinished"> {
  const { address, account, tokens, gas, credit, promised, payerChannels, providerChannels, writtenOff } = money;
  const spent = account.line - account.balance;
  const owed = providerChannels.map(({ cumulative, paid }) => positive(cumulative - paid)).filter((amount) => amount > 0n);
  const unsettled = owed.reduce((sum, amount) => sum + amount, 0n);
  const isOpened = !noOwner.test(account.owner);
  return {
    address,
    ...(isOpened && { owner: account.owner }),
    tokens,
    gas,
    deposit: account.balance,
    bond: account.bond,
    line: account.line,
    spent: positive(spent),
    promised,
    liabilities: positive(promised - spent),
    unsettled,
    unsettledChannels: owed.length,
    writtenOff,
    credit,
    atRisk: {
      prepaid: payerChannels.reduce((sum, { cumulative, consumed }) => sum + positive(cumulative - consumed), 0n),
      bond: account.bond,
      owed: positive(unsettled - writtenOff),
    },
    ...(account.closeAtMs !== undefined && { closeAtMs: account.closeAtMs }),
  };
}
