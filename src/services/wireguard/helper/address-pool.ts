import { MystError } from "../../../lib/errors.ts";

/**
 * Who has which address. A freed one rests: connections to it may still be known to the firewall, and what comes in on them must not
 * reach, nor be charged to, the next client. The longest free is given first.
 */
export type AddressPool = {
  /** @throws EXIT_FULL */
  take(nowMs: number): string;
  free(address: string, nowMs: number): void;
  /** addresses freed since the last call: to be forgotten by the firewall */
  freed(): string[];
};

export const restMs = 60_000;

export function createAddressPool(addresses: string[]): AddressPool {
  const waiting: { address: string; fromMs: number }[] = addresses.map((address) => ({ address, fromMs: Number.NEGATIVE_INFINITY }));
  const taken = new Set<string>();
  let unflushed: string[] = [];
  return {
    take: (nowMs) => {
      const next = waiting[0];
      if (!next || nowMs < next.fromMs)
        throw new MystError("EXIT_FULL", "this exit has no free address for another client", { hint: "try again in a minute" });
      waiting.shift();
      taken.add(next.address);
      return next.address;
    },
    free: (address, nowMs) => {
      if (!taken.delete(address)) return;
      waiting.push({ address, fromMs: nowMs + restMs });
      unflushed.push(address);
    },
    freed: () => {
      const list = unflushed;
      unflushed = [];
      return list;
    },
  };
}
