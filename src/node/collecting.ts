import type { Chain } from "../chain/chain.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { every, type Loop } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";

export type CollectingDeps = {
  chain: Pick<Chain, "credit" | "costs" | "collect">;
  /** whose credit */
  address: Hex;
  payout: Hex;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
};

const everyMs = 3_600_000;
/** as for clearing: gas takes a twentieth at most */
const gasShare = 20n;

/**
 * Takes out what the contract keeps for us, once in a while and when it is worth the gas: what others have cleared for us, and what
 * the token did not let through at first. Nothing is sent while it still does not.
 */
export async function collectCredit({ chain, address, payout, log, signal }: CollectingDeps): Promise<void> {
  const credit = await chain.credit(address);
  if (credit === 0n) return;
  const { first } = await chain.costs();
  if (credit < first * gasShare) return;
  const { hash, collected } = await chain.collect(payout, { signal });
  log.info("collected what the contract kept", { hash, amount: collected });
}

/** The same again and again; the first time an hour from now, so that a wallet's own look comes first. */
export function keepCollecting(deps: CollectingDeps): Loop {
  let isFirst = true;
  return every(
    deps.clock,
    everyMs,
    async () => {
      if (!isFirst) await collectCredit(deps);
      isFirst = false;
    },
    (error) => deps.log.warn("what the contract keeps could not be collected", { code: asMystError(error).code }),
  );
}
