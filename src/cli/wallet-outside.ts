import { setTimeout as wait } from "node:timers/promises";
import type { ApiClient } from "../api/client.ts";
import type { Output as ApiOutput, Input } from "../api/routes.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { formatAmount } from "../lib/units.ts";
import type { AccountSummary } from "../node/types.ts";
import type { Context, Run } from "./context.ts";
import { facts } from "./format.ts";
import { withNode } from "./hosting.ts";
import { outsideText } from "./wallet-texts.ts";

type Common = Pick<Context<"wallet deposit" | "wallet close" | "wallet withdraw">, "out" | "interrupts">;

const pollMs = 1_500;

/** The wallet elsewhere that has to send what is asked for here; undefined when it is this node's own. */
export function outsideOwner(account: AccountSummary, self: string, named?: Hex): Hex | undefined {
  const owner = named ?? (/^0x0*$/.test(account.owner) ? undefined : account.owner);
  return owner === self ? undefined : owner;
}

/** Says what a wallet elsewhere has to send and, with `wait`, returns when the chain shows it. */
export async function handOver(
  { out, interrupts }: Common,
  { api, network }: { api: ApiClient; network: NetworkConfig },
  request: Input<"outside">,
  { wait: waits, before, isDone }: { wait: boolean; before: AccountSummary; isDone(now: AccountSummary): boolean },
): Promise<void> {
  const view = await api.call("outside", request, interrupts.signal);
  out.object({ type: "outside", ...view });
  out.print(outsideText(view, network.name));
  const needed = (request.amount ?? 0n) + (request.bond ?? 0n);
  if (view.tokens !== undefined && view.tokens < needed)
    out.warn(`that wallet holds ${formatAmount(view.tokens, network.token)}, and needs ${formatAmount(needed, network.token)}`);
  if (!waits) return out.progress("add --wait to stay until it is on chain; 'mystnode wallet' shows it then");
  out.progress("waiting for it: Ctrl-C ends the waiting, and what that wallet sends counts all the same");
  const after = await seen(api, before.signer, interrupts.signal, isDone);
  out.object({ type: "done", account: after });
  out.print(accountText(after, network));
}

async function seen(api: ApiClient, signer: Hex, signal: AbortSignal, isDone: (now: AccountSummary) => boolean): Promise<AccountSummary> {
  for (;;) {
    const now = await api.call("account", { signer }, signal).catch((error) => {
      if (isMystError(error, "RPC_UNREACHABLE")) return undefined;
      throw error;
    });
    if (now && isDone(now)) return now;
    await wait(pollMs, undefined, { signal }).catch(() => {
      throw new MystError("INTERRUPTED", "stopped waiting", {
        hint: "what the other wallet sends counts all the same: see 'mystnode wallet'",
      });
    });
  }
}

const accountText = ({ owner, balance, bond }: ApiOutput<"account">, { token }: NetworkConfig) =>
  facts({ owner, "on deposit": formatAmount(balance, token), bond: formatAmount(bond, token) });

/** This key's yes to a wallet elsewhere, to be used there. */
export const consent: Run<"wallet consent"> = async (context) => {
  const { args, out, interrupts } = context;
  await withNode(context, async (api) => {
    const owner = (args[0] ?? "") as Hex;
    const given = await api.call("consent", { owner }, interrupts.signal);
    out.object(given);
    out.print(facts(given));
    out.progress("the owner's node then runs:");
    out.progress("  mystnode wallet deposit AMOUNT --for SIGNER --consent CONSENT");
    out.progress("for a wallet of another kind, here: mystnode wallet deposit AMOUNT --owner OWNER");
  });
};
