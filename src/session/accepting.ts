import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { type Acceptance, type ProviderLimits, refusals } from "../payments/channel.ts";
import type { PromiseOffer, ProviderLedger } from "../payments/provider-ledger.ts";
import type { AccountView } from "../payments/settlement.ts";
import type { Settler } from "../payments/settler.ts";

export type AcceptingDeps = {
  ledger: ProviderLedger;
  settler: Pick<Settler, "relieve" | "overdue">;
  /** the payer's account, read now; rejects while no RPC answers */
  readAccount(signer: Hex): Promise<AccountView>;
  limits: ProviderLimits;
  clock: Clock;
  log: Logger;
};

/** less than the consumer's patience, so that a settlement and a look at the chain in between do not look like silence */
const decideMs = 8_000;
const settleMs = 5_000;
const againMs = 500;

/**
 * Decides on a promise; again after reading its payer's account or settling, where that may help, and for as long as the payer is
 * patient. What is accepted is on disk.
 */
export async function decideOn(deps: AcceptingDeps, offer: PromiseOffer): Promise<Acceptance> {
  const { ledger, settler, clock } = deps;
  const { signer } = offer;
  const untilMs = clock.nowMs() + decideMs;
  const leftMs = () => Math.max(0, untilMs - clock.nowMs());
  let chainReachable = true;
  const decide = () => ledger.accept(offer, { chainReachable, overdue: settler.overdue(), limits: deps.limits });
  const refresh = async () => {
    chainReachable = await within(deps.readAccount(signer), leftMs(), "RPC_UNREACHABLE", "reading the payer's account").then(
      (view) => ledger.rememberAccount(signer, view).then(() => true),
      () => false,
    );
  };
  const helpFor = (one: Acceptance) => (one.accepted ? "none" : refusals[one.refusal].help);
  let decision = await decide();
  if (helpFor(decision) === "settle")
    await within(settler.relieve(signer), settleMs, "TRANSACTION_FAILED", "settling").catch((error) =>
      deps.log.warn("could not settle in time", { signer, code: asMystError(error).code }),
    );
  if (helpFor(decision) !== "none") {
    await refresh();
    decision = await decide();
  }
  // a claim that is out may be on chain before the payer's patience is over
  while (helpFor(decision) === "settle" && leftMs() > againMs) {
    await pause(againMs);
    decision = await decide();
  }
  return decision;
}
