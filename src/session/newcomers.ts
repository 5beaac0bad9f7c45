import { larger, smaller } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { ProviderLimits } from "../payments/channel.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { Settler } from "../payments/settler.ts";

/** What a payer may owe that never cleared anything here, as a part of what others may. */
const newcomerPart = 4n;

type Deps = {
  ledger: Pick<ProviderLedger, "hasCleared" | "unsettled">;
  settler: Pick<Settler, "relieve"> & Partial<Pick<Settler, "worthClearing">>;
  limits: ProviderLimits;
  log: Logger;
};

/**
 * How much a payer may owe: a quarter as long as nothing of its was ever cleared here, but at least twice what is worth clearing, so that
 * half of it can be.
 */
export function limitsFor({ ledger, settler, limits }: Omit<Deps, "log">, signer: Hex): ProviderLimits {
  if (ledger.hasCleared(signer)) return limits;
  const part = larger(limits.maxUnsettled / newcomerPart, 2n * (settler.worthClearing?.() ?? 0n));
  return { ...limits, maxUnsettled: smaller(part, limits.maxUnsettled) };
}

/** Clears what a newcomer owes from half its limit on, so that it is none any more before it comes to stand still. One time at a time. */
export function clearEarly(deps: Deps): (signer: Hex) => void {
  const underWay = new Set<Hex>();
  return (signer) => {
    if (underWay.has(signer) || deps.ledger.hasCleared(signer)) return;
    if (deps.ledger.unsettled(signer) * 2n < limitsFor(deps, signer).maxUnsettled) return;
    underWay.add(signer);
    deps.settler
      .relieve(signer)
      .catch((error) => deps.log.debug("a newcomer's first promises were not cleared yet", { signer, code: asMystError(error).code }))
      .finally(() => underWay.delete(signer));
  };
}
