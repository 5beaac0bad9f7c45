import { signHandover } from "../identity/handover.ts";
import type { Identity } from "../identity/identity.ts";
import { readIdentity } from "../identity/open.ts";
import { isRetiring, keepHandover, prepareNext, replaceIdentity, retiredFile } from "../identity/retiring.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { formatAmount } from "../lib/units.ts";
import type { Node, SentView, WalletView } from "../node/types.ts";
import type { Context, Run } from "./context.ts";
import { facts } from "./format.ts";
import { chooseNetwork, openNode, passphraseOf, runningNode } from "./hosting.ts";
import { confirm } from "./prompt.ts";
import { fromText } from "./texts.ts";
import { outsideText, sentText } from "./wallet-texts.ts";

type Command = "wallet retire" | "identity rotate";

/** The passphrase is asked for once, although several keys are opened with it. */
const askedOnce = (context: Context<Command>) => {
  const { prompt, ...source } = passphraseOf(context);
  let asked: Promise<string> | undefined;
  return {
    ...source,
    ...(prompt && {
      prompt: (question: string) => {
        asked ??= prompt(question);
        return asked;
      },
    }),
  };
};

/** Closes the account of a key that signs nothing more, and begins with a new one. */
export const retire: Run<"wallet retire"> = (context) =>
  replaceKey(context, {
    verb: "Retire",
    isMoot: ({ line, promised, retired }) => {
      if (line > 0n || promised > 0n) return false;
      if (retired?.[0]) return true;
      throw new MystError("NO_DEPOSIT", "there is nothing to retire: nothing was ever deposited for this key, or promised with it", {
        hint: "make a deposit with 'mystnode wallet deposit'",
      });
    },
  });

/** Goes on with a new key, under which peers know this node as before. */
export const rotate: Run<"identity rotate"> = (context) => replaceKey(context, { verb: "Rotate", isMoot: () => false });

/** `isMoot`: it was done already, and there is nothing to do it with again. */
type Replacing = { verb: "Retire" | "Rotate"; isMoot(wallet: WalletView): boolean };

/**
 * Each step is done only where it is still missing, so that it may be broken off anywhere and run again: the new key is on disk first and takes
 * the old one's place last. What the old key signs of the new one is on disk before that.
 */
async function replaceKey(context: Context<Command>, { verb, isMoot }: Replacing): Promise<void> {
  const { settings, out, interrupts } = context;
  const { dataDir } = settings;
  if (await runningNode(dataDir, interrupts.signal))
    throw new MystError("DATA_DIR_LOCKED", "a node runs here with the key that is to be replaced", {
      hint: "end it first, with 'mystnode disconnect' or where it serves, then run this again",
    });
  const network = await chooseNetwork(settings);
  const passphrase = askedOnce(context);
  const node = await openNode(context, network, { passphrase });
  try {
    const before = await node.wallet.show();
    if (!(await isRetiring(dataDir)) && isMoot(before)) {
      out.progress("a key was retired here already; this one is new");
      const [last] = before.retired ?? [];
      return tell(context, network, { old: last?.signer, closeAtMs: last?.closeAtMs, wallet: before, peer: node.peerId });
    }
    if (!settings.yes) await confirm(`${question(before, verb, network)}\n${verb} it?`, interrupts);
    const next = await prepareNext(dataDir, passphrase);
    const closeAtMs = await interrupts.race(windUp(context, node, network, before, next.address));
    await handOver(dataDir, await readIdentity(dataDir, passphrase), next, network);
    await replaceIdentity(dataDir, node.address);
    const moved = (await node.wallet.balances(next.address)).tokens;
    const wallet = { address: next.address, tokens: moved };
    tell(context, network, { old: node.address, closeAtMs, wallet, peer: next.peerId });
  } finally {
    await node.stop();
  }
}

const handOver = (dataDir: string, from: Identity, to: Identity, network: NetworkConfig): Promise<void> =>
  keepHandover(dataDir, from.address, signHandover(from, to, network, Date.now()));

const question = ({ address, deposit, bond }: WalletView, verb: Replacing["verb"], { token }: NetworkConfig): string =>
  [
    `${verb === "Retire" ? "Retiring" : "Rotating"} ${address} is for good: its account is closed, and`,
    "this node goes on with a new key, so under a new peer id and address. Peers that know",
    "the old one are shown who it is now, and refuse the old one from then on. The old key",
    `is kept for taking out what is left of ${formatAmount(deposit + bond, token)} three days later.`,
  ].join("\n");

/** All that only the old key can do now. @returns when its account may be emptied; undefined when nothing is in it */
async function windUp(
  { out, interrupts }: Context<Command>,
  node: Node,
  network: NetworkConfig,
  { owner, line, bond, closeAtMs, unsettled, credit, tokens }: WalletView,
  next: Hex,
): Promise<number | undefined> {
  const onSent = (sent: SentView) => {
    out.progress(sentText(sent, network.confirmations));
    out.progress(`  ${sent.hash}`);
  };
  const sending = { onSent, signal: interrupts.signal };
  let closesAtMs = closeAtMs;
  if (line + bond > 0n && closeAtMs === undefined) {
    if (owner === node.address) {
      out.progress("closing its account");
      closesAtMs = (await node.wallet.close(sending)).closeAtMs;
    } else {
      out.print(outsideText(await node.wallet.outside({ action: "close" }), network.name));
      out.warn(
        "the wallet that owns the account has to close it: nothing is signed with this key any more, and its deposit waits until then",
      );
    }
  }
  if (unsettled + credit > 0n) {
    out.progress("clearing what is owed to it");
    await node.wallet.settle({ ...sending, all: true });
  }
  const left = credit + unsettled > 0n ? (await node.wallet.show()).tokens : tokens;
  if (left > 0n) {
    out.progress(`moving ${formatAmount(left, network.token)} from its wallet to the new key's`);
    await node.wallet.move(next, sending);
  }
  return closesAtMs;
}

type Told = { old: Hex | undefined; closeAtMs: number | undefined; wallet: Pick<WalletView, "address" | "tokens">; peer: string };

function tell(
  { settings, out }: Context<Command>,
  { token, chainId, minDeposit, minBond }: NetworkConfig,
  { old, closeAtMs, wallet, peer }: Told,
): void {
  const { address, tokens } = wallet;
  const needed = minDeposit + minBond;
  const missing = tokens < needed ? needed - tokens : 0n;
  const links = {
    ...(missing > 0n && { tokens: `ethereum:${token.address}@${chainId}/transfer?address=${address}&uint256=${missing}` }),
    gas: `ethereum:${address}@${chainId}`,
  };
  const keystore = old && retiredFile(settings.dataDir, old);
  out.object({ retired: old, keystore, address, peer, ...(closeAtMs !== undefined && { closeAtMs }), tokens, missing, links });
  out.print(
    facts({
      retired: old,
      "its key": keystore,
      withdraw: closeAtMs === undefined ? undefined : `from ${fromText(closeAtMs)} on, with 'mystnode wallet withdraw --for ${old}'`,
      "new address": address,
      "new peer": peer,
      "in wallet": formatAmount(tokens, token),
    }),
  );
  out.progress(
    `to go on, send gas${missing > 0n ? ` and at least ${formatAmount(missing, token)}` : ""} to ${address} on chain ${chainId}:`,
  );
  for (const link of Object.values(links)) out.progress(`  ${link}`);
  out.progress(`  mystnode wallet deposit ${formatAmount(minDeposit, token).replace(" ", "").toLowerCase()}`);
}
