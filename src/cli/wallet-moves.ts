import type { ApiClient } from "../api/client.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { formatAmount, formatDuration, parseAmount } from "../lib/units.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { confirm } from "./prompt.ts";
import { fromText } from "./texts.ts";
import { handOver, outsideOwner } from "./wallet-outside.ts";
import { withWallet } from "./wallet-sending.ts";
import { settledText } from "./wallet-texts.ts";

/** @throws BAD_VALUE */
function checkedConsent(text: string | undefined): { consent?: Hex } {
  if (text === undefined) return {};
  if (!/^0x[0-9a-f]{128}$/i.test(text))
    throw new MystError("BAD_VALUE", "--consent: this is no consent", {
      hint: "copy what 'mystnode wallet consent OWNER' prints where the signer's key is: 0x and 128 hex digits",
    });
  return { consent: text.toLowerCase() as Hex };
}

const accountOf = (signer: Hex | undefined) => (signer === undefined ? {} : { signer });

export const deposit: Run<"wallet deposit"> = async (context) => {
  const { settings, args, out, interrupts } = context;
  const { signal } = interrupts;
  const given = { ...accountOf(settings.for), ...checkedConsent(settings.consent) };
  await withWallet(context, async ({ api, network, carry }) => {
    const { token, minBond, name } = network;
    const amount = parseAmount(args[0] ?? "", token);
    const { address: self } = await api.call("identity", {}, signal);
    const before = await api.call("account", accountOf(settings.for), signal);
    const missing = before.bond < minBond ? minBond - before.bond : 0n;
    const bond = settings.bond ? settings.bond(token) : missing;
    const owner = outsideOwner(before, self, settings.owner);
    if (owner !== undefined) {
      const isDone = (now: typeof before) => now.line >= before.line + amount && now.bond >= before.bond + bond;
      return handOver(context, { api, network }, { action: "deposit", owner, amount, bond, ...given }, { ...settings, before, isDone });
    }
    const whose = settings.for === undefined ? "" : ` for ${settings.for}`;
    const withBond = bond > 0n ? ` and a bond of ${formatAmount(bond, token)}` : "";
    const text = `${formatAmount(amount, token)}${withBond} on ${name}${whose}`;
    if (!settings.yes) await confirm(`Deposit ${text}?`, interrupts);
    out.progress(`depositing ${text}`);
    const { hash } = await carry(api.stream("deposit", { amount, ...(settings.bond && { bond }), ...given }, signal));
    const after = await api.call("account", accountOf(settings.for), signal);
    out.object({ hash, deposit: after.balance, bond: after.bond });
    out.print(facts({ transaction: hash, "on deposit": formatAmount(after.balance, token), bond: formatAmount(after.bond, token) }));
  });
};

export const close: Run<"wallet close"> = async (context) => {
  const { settings, out, interrupts } = context;
  const { signal } = interrupts;
  const account = accountOf(settings.for);
  await withWallet(context, async ({ api, network, carry }) => {
    const { address: self } = await api.call("identity", {}, signal);
    const before = await api.call("account", account, signal);
    const owner = outsideOwner(before, self);
    const whole = formatAmount(before.balance + before.bond, network.token);
    if (owner !== undefined) {
      out.progress("closing is for good: nothing is promised or deposited after it; three days later all that is left can be taken out");
      const isDone = (now: typeof before) => now.closeAtMs !== undefined;
      return handOver(context, { api, network }, { action: "close", ...account }, { ...settings, before, isDone });
    }
    const worth = before.balance + before.bond > 0n && before.closeAtMs === undefined;
    if (worth && !settings.yes) await confirm(`${closingQuestion(before.signer, whole)}\nClose it?`, interrupts);
    const done = await carry(api.stream("close", account, signal));
    out.object(done);
    out.print(
      facts({
        transaction: done.hash,
        closed: "for good: this key promises nothing more",
        withdraw: `from ${fromText(done.closeAtMs)} on, with 'mystnode wallet withdraw'`,
      }),
    );
  });
};

const closingQuestion = (signer: string, whole: string): string =>
  [
    `Closing the account of ${signer} is for good:`,
    "nothing more is promised from it or deposited to it. Exits have three days to",
    `clear what they hold; then what is left of ${whole} can be taken out.`,
  ].join("\n");

export const withdraw: Run<"wallet withdraw"> = async (context) => {
  const { settings, out, interrupts } = context;
  const { signal } = interrupts;
  await withWallet(context, async ({ api, network, carry }) => {
    const { address: self } = await api.call("identity", {}, signal);
    const signer = settings.for ?? (await retiredIfAll(api, signal));
    const account = { ...accountOf(signer), ...(settings.to !== undefined && { to: settings.to }) };
    const before = await api.call("account", accountOf(signer), signal);
    const owner = before.retired && before.owner === before.signer ? undefined : outsideOwner(before, self);
    if (owner !== undefined) {
      const isDone = (now: typeof before) => now.balance + now.bond === 0n;
      return handOver(context, { api, network }, { action: "withdraw", ...account }, { ...settings, before, isDone });
    }
    const whole = before.balance + before.bond;
    const isDue = before.closeAtMs !== undefined && before.closeAtMs <= Date.now();
    if (whole > 0n && isDue && !settings.yes)
      await confirm(`Take ${formatAmount(whole, network.token)} out, to ${settings.to ?? self}?`, interrupts);
    const done = await carry(api.stream("withdraw", account, signal));
    out.object({ ...done, to: settings.to ?? self });
    out.print(facts({ transaction: done.hash, withdrawn: formatAmount(done.withdrawn, network.token), to: settings.to ?? self }));
    if (done.credited > 0n) out.warn("the token did not let it through: the contract keeps it for that address, which may collect it");
  });
};

/** Without anything in the node's own account: that of a key that was retired here. */
async function retiredIfAll(api: ApiClient, signal: AbortSignal): Promise<Hex | undefined> {
  const { deposit, bond, retired = [] } = await api.call("wallet", {}, signal);
  return deposit + bond === 0n ? retired[0]?.signer : undefined;
}

export const settle: Run<"wallet settle"> = async (context) => {
  const { settings, out, interrupts } = context;
  await withWallet(context, async ({ api, network, carry }) => {
    const startedMs = performance.now();
    out.progress(`clearing what is owed to this node${settings.all ? ", whatever its gas costs" : ""}`);
    const done = await carry(api.stream("settle", { all: settings.all }, interrupts.signal));
    out.object(done);
    const idle = done.claims === 0 && done.collected + done.left + done.kept === 0n;
    out.print(idle ? "nothing is owed to this node" : settledText(done, network.token));
    if (!idle) out.progress(`took ${formatDuration(performance.now() - startedMs)}`);
  });
};
