import { setTimeout as pause } from "node:timers/promises";
import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { type Acceptance, bondPerGas, type ProviderLimits, refusals } from "../payments/channel.ts";
import type { Heads } from "../payments/heads/heads.ts";
import type { PromiseOffer, ProviderLedger } from "../payments/provider-ledger.ts";
import type { AccountView } from "../payments/settlement.ts";
import type { Settler } from "../payments/settler.ts";
import { limitsFor } from "./newcomers.ts";

export type AcceptingDeps = {
  ledger: ProviderLedger;
  settler: Pick<Settler, "relieve" | "overdue"> & Partial<Pick<Settler, "claimGas" | "worthClearing">>;
  /** the payer's account, read now; rejects while no RPC answers */
  readAccount(signer: Hex): Promise<AccountView>;
  /** what the contract has paid on a channel; rejects while no RPC answers */
  readPaid(signer: Hex, channel: Hex): Promise<bigint>;
  limits: ProviderLimits;
  /** what others know of payers, and hear from us; without it no limit follows from that */
  heads?: Pick<Heads, "watch" | "accepted" | "show"> | undefined;
  clock: Clock;
  log: Logger;
};

/** less than the consumer's patience, so that a settlement and a look at the chain in between do not look like silence */
const decideMs = 8_000;
const settleMs = 5_000;
const againMs = 500;
/** An account that was read just now says the same: nobody has us ask the chain as often as he can send promises. */
const justNowMs = 2_000;

/**
 * Decides on a promise; again after reading its payer's account, settling, or telling others of it, where that may help, and for as
 * long as the payer is patient. What is accepted is on disk.
 */
export async function decideOn(deps: AcceptingDeps, given: PromiseOffer): Promise<Acceptance> {
  const { ledger, settler, clock, heads } = deps;
  const { signer } = given;
  const { channel } = given.promise;
  let offer = given;
  const untilMs = clock.nowMs() + decideMs;
  const leftMs = () => Math.max(0, untilMs - clock.nowMs());
  let chainReachable = true;
  const minBond = () => larger(deps.limits.minBond, bondPerGas * (settler.claimGas?.() ?? 0n));
  const limits = () => ({ ...limitsFor(deps, signer), minBond: minBond() });
  const decide = () => ledger.accept(offer, { chainReachable, overdue: settler.overdue(), limits: limits(), watch: heads?.watch });
  const refresh = async () => {
    chainReachable = await within(deps.readAccount(signer), leftMs(), "RPC_UNREACHABLE", "reading the payer's account").then(
      (view) => ledger.rememberAccount(signer, view).then(() => true),
      () => false,
    );
  };
  const helpFor = (one: Acceptance) => (one.accepted ? "none" : refusals[one.refusal].help);
  let decision = await decide();
  if (helpFor(decision) === "settle")
    // where payers that never cleared owe too much together, clearing any of them helps
    await within(settler.relieve(isOfAll(decision) ? undefined : signer), settleMs, "TRANSACTION_FAILED", "settling").catch((error) =>
      deps.log.warn("could not settle in time", { signer, code: asMystError(error).code }),
    );
  const isJustRead = () => clock.nowMs() - (ledger.account(signer)?.readAtMs ?? 0) < justNowMs;
  if (helpFor(decision) === "settle" || (helpFor(decision) === "refresh" && !isJustRead())) {
    await refresh();
    decision = await decide();
  }
  // where this ledger was lost, the contract may have paid something on a channel that is not known here any more
  if (!decision.accepted && decision.refusal === "total-low" && !ledger.channel({ signer, channel })) {
    const paid = await within(deps.readPaid(signer, channel), leftMs(), "RPC_UNREACHABLE", "reading what was paid").catch(() => 0n);
    offer = { ...given, paid };
    if (paid > 0n) decision = await decide();
  }
  // A claim that is out may be on chain before the payer's patience is over, and others may have seen what is promised here.
  while ((helpFor(decision) === "settle" || helpFor(decision) === "wait") && leftMs() > againMs) {
    if (helpFor(decision) === "wait") await heads?.show(signer, offer.promise);
    await pause(againMs);
    decision = await decide();
  }
  if (decision.accepted && decision.fresh) heads?.accepted({ signer, channel: offer.promise.channel });
  return decision;
}

const isOfAll = (one: Acceptance): boolean => !one.accepted && one.refusal === "strangers";
