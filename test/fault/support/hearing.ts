import { type Observation, shownBy, type Told } from "../../support/ledger-audit.ts";
import type { Part } from "./market.ts";

/** Writes down what a payer's node tells that it has signed. */
export function hearPromises(payer: Part, history: Observation[]) {
  let told: Told | undefined;
  let last = Promise.resolve();
  const begin = () => {
    last = (async () => {
      for await (const { event } of payer.api.stream("events", {})) {
        if (event.type !== "promise") continue;
        const { channel, cumulative, total, seq, bytes } = event;
        const next = { signer: payer.address, channel, cumulative, bytes };
        history.push(...shownBy(next, told), { where: "signed", signer: payer.address, channel, cumulative, total, seq });
        told = next;
      }
    })().catch(() => undefined);
  };
  return { begin, ended: () => last };
}
