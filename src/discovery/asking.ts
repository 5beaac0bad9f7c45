import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { DiscoverySource } from "./discovery.ts";
import type { Intake } from "./intake.ts";
import { maxOfferBytes, readOffer } from "./offer.ts";
import { offerProtocol } from "./protocol.ts";

export type AskingDeps = { network: Pick<Network, "connect" | "ask">; clock: Clock; log: Logger; intake: Intake };

/** One that is gone costs no more than this, beside the others. */
const fetchMs = 5_000;

/** Takes an exit's present offer from itself. Never throws. */
export function askExit({ network, clock, log, intake }: AskingDeps, source: DiscoverySource, signal: AbortSignal) {
  return async ({ peer, addresses }: { peer: string; addresses: string[] }): Promise<void> => {
    try {
      const limit = deadline(fetchMs, signal, clock);
      await network.connect(peer, addresses, limit);
      const bytes = await network.ask(peer, offerProtocol, new Uint8Array(), limit, { maxAnswer: maxOfferBytes });
      if (readOffer(bytes).offer.peer === peer) intake.takeBytes(bytes, source);
    } catch (error) {
      log.debug("no offer from an exit", { peer, source, error: (error as Error).message });
    }
  };
}

/** Runs what it is given, so many at the same time at most, in the order it came. */
export function sideBySide(atOnce: number): (work: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}

const atOnce = 8;
const maxRecalled = 64;

/** Asks those that were known in an earlier run, until one that fits has answered or all have been asked. Never throws. */
export async function lookInMemory(
  deps: AskingDeps,
  recalled: { peer: string; addresses: string[] }[],
  found: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const ask = askExit(deps, "cache", signal);
  const inTurn = sideBySide(atOnce);
  const unlessFound = async (exit: { peer: string; addresses: string[] }) => {
    if (!found() && !signal.aborted) await ask(exit);
  };
  await Promise.all(recalled.slice(0, maxRecalled).map((exit) => inTurn(() => unlessFound(exit))));
}
