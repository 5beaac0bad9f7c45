import { asMystError, MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import { quantumMoney } from "../../payments/quantum.ts";
import type { ConnectingDeps } from "../connecting.ts";
import { type Carried, type ConsumingDeps, consume } from "../consuming.ts";
import { budgetFor, openWith, termsFor, type Watch, worthAnother } from "../proposing.ts";
import { inReach } from "../reaching.ts";
import type { ExitView } from "../types.ts";
import { isCheating } from "./machine.ts";

export type LookingDeps = {
  connecting: ConnectingDeps;
  consuming: ConsumingDeps;
  /** it was no use; `cheats`: and never will be */
  avoid(peer: string, cheats: boolean): void;
};

const dialMs = 2_500;
/** an exit that does not know us reads our account on chain first */
const answerMs = 6_000;

/**
 * Opens a session with the first of these exits that takes us, for at most `left` base units.
 * @throws BUDGET_EXHAUSTED, what keeps the service from being opened here, and what the last one failed with
 */
export async function lookFor(deps: LookingDeps, exits: ExitView[], left: bigint, watch: Watch): Promise<Carried> {
  const { connecting, consuming } = deps;
  await connecting.session.service.check();
  let last = new MystError("NO_MATCHING_EXIT", "no exit that matches is known any more");
  const { clock } = connecting.session;
  const dial = ({ peer, addresses }: ExitView) => connecting.network.connect(peer, addresses, deadline(dialMs, watch.signal));
  for await (const { exit, error: unreached } of inReach(exits, dial, clock, watch.signal)) {
    const budget = budgetFor(exit, left);
    const terms = termsFor(exit, budget, clock.nowMs());
    if (budget < quantumMoney(terms, 0n))
      throw new MystError("BUDGET_EXHAUSTED", "what is left of the budget does not buy another quantum");
    try {
      if (unreached) throw unreached;
      return await consume(consuming, (more) => openWith(connecting, { exit, terms, budget, answerMs }, { ...watch, ...more }));
    } catch (error) {
      last = asMystError(error);
      if (watch.signal.aborted || !worthAnother(last)) throw last;
      consuming.log.info("an exit could not take over", { peer: exit.peer, code: last.code });
      deps.avoid(exit.peer, isCheating(last));
    }
  }
  throw last;
}
