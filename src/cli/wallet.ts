import { formatAmount, formatDuration, parseAmount, type Unit } from "../lib/units.ts";
import type { ChannelView, WalletView } from "../node/types.ts";
import type { Run } from "./context.ts";
import { type Column, facts, shortPeer, table } from "./format.ts";
import { networkOf, withNode } from "./hosting.ts";
import { confirm } from "./prompt.ts";
import { timeText } from "./texts.ts";

const ether: Unit = { symbol: "ETH", decimals: 18 };

export const show: Run<"wallet"> = async (context) => {
  const { out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const wallet = await api.call("wallet", {}, interrupts.signal);
    out.object(wallet);
    out.print(facts(walletFacts(wallet, token)));
    if (wallet.line === 0n) out.progress("nothing on deposit: exits take promises after 'mystnode wallet deposit'");
  });
};

const walletFacts = (wallet: WalletView, unit: Unit) => {
  const amount = (value: bigint) => formatAmount(value, unit);
  return {
    address: wallet.address,
    "in the wallet": `${amount(wallet.tokens)}, ${formatAmount(wallet.gas, ether, 6)} for fees`,
    "on deposit": amount(wallet.deposit),
    bond: amount(wallet.bond),
    promised: `${amount(wallet.promised)} in all, ${amount(wallet.liabilities)} not cleared yet`,
    "owed to you": `${amount(wallet.unsettled)} not cleared yet`,
    "kept for you": wallet.credit === 0n ? undefined : `${amount(wallet.credit)} in the contract: 'mystnode wallet settle' collects it`,
    closing: wallet.closeAtMs === undefined ? undefined : `everything can be taken out after ${timeText(wallet.closeAtMs)}`,
  };
};

export const deposit: Run<"wallet deposit"> = async (context) => {
  const { settings, args, out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token, minBond, name } = await networkOf(api);
    const amount = parseAmount(args[0] ?? "", token);
    const wallet = await api.call("wallet", {}, interrupts.signal);
    const missing = wallet.bond < minBond ? minBond - wallet.bond : 0n;
    const bond = settings.bond ? settings.bond(token) : missing;
    const text = `${formatAmount(amount, token)} and a bond of ${formatAmount(bond, token)} from ${wallet.address} on ${name}`;
    if (!settings.yes) await confirm(`Deposit ${text}?`, interrupts);
    out.progress(`depositing ${text}`);
    const { hash } = await api.call("deposit", { amount, bond }, interrupts.signal);
    const after = await api.call("wallet", {}, interrupts.signal);
    out.object({ hash, deposit: after.deposit, bond: after.bond });
    out.print(facts({ transaction: hash, "on deposit": formatAmount(after.deposit, token), bond: formatAmount(after.bond, token) }));
  });
};

export const withdraw: Run<"wallet withdraw"> = async (context) => {
  const { settings, out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const { closeAtMs, deposit: held, bond } = await api.call("wallet", {}, interrupts.signal);
    const whole = formatAmount(held + bond, token);
    const question =
      closeAtMs === undefined
        ? `Close this account for good? It signs no promise after that; ${whole} can be taken out in three days.`
        : `Take ${whole} out?`;
    if (!settings.yes) await confirm(question, interrupts);
    const done = await api.call("withdraw", {}, interrupts.signal);
    out.object(done);
    out.print(
      facts({
        transaction: done.hash,
        withdrawn: done.withdrawn === undefined ? undefined : formatAmount(done.withdrawn, token),
        closing: done.closeAtMs === undefined ? undefined : `run it again after ${timeText(done.closeAtMs)}`,
      }),
    );
  });
};

export const channels: Run<"wallet channels"> = async (context) => {
  const { out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const found = await api.call("channels", {}, interrupts.signal);
    out.object(found);
    out.print(found.channels.length > 0 ? table(found.channels, channelColumns(token)) : "no channels");
  });
};

const channelColumns = (unit: Unit): Column<ChannelView>[] => {
  const amount = (value: bigint) => formatAmount(value, unit, 6);
  return [
    { title: "CHANNEL", cell: ({ channel }) => channel.slice(0, 10) },
    { title: "ROLE", cell: ({ role }) => role },
    { title: "PROMISED", cell: ({ cumulative }) => amount(cumulative), right: true },
    { title: "USED", cell: ({ consumed }) => amount(consumed), right: true },
    { title: "CLEARED", cell: ({ paid }) => amount(paid), right: true },
    { title: "PEER", cell: ({ peer }) => shortPeer(peer), flexible: true },
  ];
};

export const settle: Run<"wallet settle"> = async (context) => {
  const { out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const startedMs = performance.now();
    out.progress("clearing what is owed to this node");
    const done = await api.call("settle", {}, interrupts.signal);
    out.object(done);
    out.print(
      done.claims === 0 && done.collected === 0n
        ? "nothing is owed to this node"
        : facts({
            transaction: done.hash,
            cleared: `${formatAmount(done.paid, token)} in ${done.claims} claims`,
            collected: done.collected === 0n ? undefined : formatAmount(done.collected, token),
            took: formatDuration(performance.now() - startedMs),
          }),
    );
  });
};
