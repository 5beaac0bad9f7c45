import { formatAmount, type Unit } from "../lib/units.ts";
import type { ChannelView, OutsideView, SentView, SettleView, WalletView } from "../node/types.ts";
import { type Column, facts, shortPeer, table } from "./format.ts";
import { agoText, fromText } from "./texts.ts";

const ether: Unit = { symbol: "ETH", decimals: 18 };
const digits = 9;

/** What a wallet shows, within 80 columns: amounts cut at nine digits, exact in the JSON. */
export function walletText(wallet: WalletView, unit: Unit): string {
  const amount = (value: bigint) => formatAmount(value, unit, digits);
  const { owner, unfinished } = wallet;
  const isPayer = wallet.line > 0n || wallet.promised > 0n;
  const isOutside = owner !== undefined && owner !== wallet.address;
  return facts({
    address: wallet.address,
    owner: isOutside ? `${owner}, a wallet elsewhere` : undefined,
    "in wallet": `${amount(wallet.tokens)}, ${formatAmount(wallet.gas, ether, 6)} for fees`,
    "on deposit": isPayer ? `${amount(wallet.deposit)} of ${amount(wallet.line)} ever deposited` : "nothing",
    bond: isPayer ? amount(wallet.bond) : undefined,
    promised: isPayer ? `${amount(wallet.promised)} in all, ${amount(wallet.spent)} cleared` : undefined,
    liabilities: isPayer ? `${amount(wallet.liabilities)} promised and not cleared yet` : undefined,
    "owed to you": owedText(wallet, amount),
    "kept for you":
      wallet.credit === 0n ? undefined : [`${amount(wallet.credit)} in the contract:`, "'mystnode wallet settle' collects it"],
    "at risk": riskText(wallet, amount),
    closing: wallet.closeAtMs === undefined ? undefined : closingText(wallet.closeAtMs, wallet.deposit + wallet.bond),
    retired: wallet.retired?.flatMap(({ signer, deposit, bond, closeAtMs }) => [
      `${amount(deposit + bond)} of ${signer},`,
      closeAtMs === undefined ? "  whose account is still to be closed" : `  to be taken out from ${fromText(closeAtMs)} on`,
    ]),
    unfinished: unfinished && [`${unfinished.what}: the same command goes on with it`, unfinished.hash],
  });
}

function owedText({ unsettled, unsettledChannels, writtenOff }: WalletView, amount: (value: bigint) => string): string | string[] {
  const on = unsettledChannels === 0 ? "" : ` on ${unsettledChannels} channel${unsettledChannels === 1 ? "" : "s"}`;
  const owed = `${amount(unsettled)} not cleared yet${on}`;
  return writtenOff > 0n ? [owed, `${amount(writtenOff)} of it written off as dust or bounced`] : owed;
}

/** The most that may be lost from here on, and when. */
function riskText({ atRisk }: WalletView, amount: (value: bigint) => string): string[] {
  const lines = [
    atRisk.prepaid > 0n && `${amount(atRisk.prepaid)} paid ahead, if those exits serve no more`,
    atRisk.bond > 0n && `${amount(atRisk.bond)} of bond, if this key signs anywhere else too`,
    atRisk.owed > 0n && `${amount(atRisk.owed)} owed to you, if all who owe it cheat`,
  ].filter((line) => line !== false);
  return lines.length > 0 ? lines : ["nothing"];
}

const closingText = (closeAtMs: number, left: bigint): string =>
  left === 0n ? "closed for good, and empty" : `everything can be taken out from ${fromText(closeAtMs)} on`;

/** Channels as payer and as provider, each in a table of 80 columns. */
export function channelsText(channels: readonly ChannelView[], unit: Unit, nowMs: number): string {
  const titles = { payer: "What you have promised", provider: "What was promised to you" } as const;
  const parts = (["payer", "provider"] as const).flatMap((role) => {
    const rows = channels.filter((channel) => channel.role === role);
    // beside who clears it for this node, what was used of it matters less, and there is room for one of the two
    const left = rows.some(({ watched }) => watched) ? "USED" : "WATCHED";
    const columns = channelColumns(unit, nowMs).filter(({ title }) => title !== left);
    return rows.length > 0 ? [`${titles[role]}, in ${unit.symbol}\n${table(rows, columns)}`] : [];
  });
  return parts.length > 0 ? parts.join("\n\n") : "no channels";
}

/** Without its unit, which stands above: eight characters hold most of what a channel sees. */
const bare = (value: bigint, unit: Unit): string => formatAmount(value, unit, 6).split(" ")[0] ?? "";

const channelColumns = (unit: Unit, nowMs: number): Column<ChannelView>[] => [
  { title: "CHANNEL", cell: ({ channel }) => channel.slice(0, 8) },
  { title: "PEER", cell: ({ peer }) => shortPeer(peer), flexible: true },
  { title: "PROMISED", cell: ({ cumulative }) => bare(cumulative, unit), right: true },
  { title: "USED", cell: ({ consumed }) => bare(consumed, unit), right: true },
  { title: "CLEARED", cell: ({ paid }) => bare(paid, unit), right: true },
  { title: "NOT YET", cell: ({ unsettled }) => bare(unsettled, unit), right: true },
  { title: "WATCHED", cell: ({ watched }) => (watched ? bare(watched.amount, unit) : "-"), right: true },
  { title: "LAST", cell: ({ lastMs }) => agoText(nowMs - lastMs), right: true },
  { title: "STATE", cell: ({ state }) => state },
];

const verbs: Record<SentView["what"], string> = {
  approve: "approval",
  deposit: "deposit",
  close: "close",
  withdraw: "withdrawal",
  collect: "collection",
  move: "transfer",
  settle: "settlement",
};

/** What is told of a transaction that goes out. */
export function sentText({ what, again }: SentView, confirmations: number): string {
  if (what === "settle") return "cleared in transaction";
  const wait = confirmations > 0 && what !== "approve" ? `waiting for ${confirmations} confirmations` : "waiting for its block";
  return again ? `going on with the ${verbs[what]} that an earlier command has sent` : `${verbs[what]} sent, ${wait}`;
}

export const verbOf = (what: SentView["what"]): string => verbs[what];

/** What was cleared, a line each. */
export function settledText({ settled, paid, claims, collected, left, short, kept }: SettleView, unit: Unit): string {
  const amount = (value: bigint) => formatAmount(value, unit, digits);
  const rows = table(settled, [
    { title: "CHANNEL", cell: ({ channel }) => channel.slice(0, 10) },
    { title: "PEER", cell: ({ peer }) => shortPeer(peer), flexible: true },
    { title: "PAID", cell: (row) => amount(row.paid), right: true },
    { title: "TRANSACTION", cell: ({ hash }) => `${hash.slice(0, 18)}…` },
  ]);
  const sums = facts({
    cleared: claims > 0 ? `${amount(paid)} in ${claims} ${claims === 1 ? "claim" : "claims"}` : "nothing",
    short: short > 0n ? `${amount(short)} that their payers have not any more` : undefined,
    collected: collected > 0n ? amount(collected) : undefined,
    kept: kept > 0n ? `${amount(kept)} in the contract: collected another time` : undefined,
    left: left > 0n ? `${amount(left)}, not worth its gas now: --all clears it too` : undefined,
  });
  return settled.length > 0 ? `${rows}\n\n${sums}` : sums;
}

/** What the wallet elsewhere has to do. Links and data are lines of their own, to be copied. */
export function outsideText({ owner, chainId, closeAtMs, transactions }: OutsideView, network: string): string {
  const count = transactions.length === 1 ? "one transaction" : `${transactions.length} transactions, in this order`;
  const parts = transactions.map(({ what, to, data, link }, index) =>
    [`${index + 1}  ${verbs[what]}`, `   link  ${link}`, `   to    ${to}`, `   data  ${data}`].join("\n"),
  );
  return [
    `The wallet that owns the account, ${owner},`,
    `sends ${count}, on chain ${chainId} (${network}):`,
    ...(closeAtMs === undefined ? [] : [`not before ${fromText(closeAtMs)}.`]),
    "",
    parts.join("\n\n"),
    "",
    "Few wallets know all of EIP-681, and a deposit's signature is a tuple in it: one",
    "that does not take the link takes `to` and `data` as they are, with value 0.",
  ].join("\n");
}
