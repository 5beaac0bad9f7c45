import type { Discovery } from "../../discovery/discovery.ts";
import { asMystError, MystError } from "../../lib/errors.ts";
import { isRelayed } from "../../network/diversity.ts";
import type { Network } from "../../network/network.ts";
import { type ConnectingDeps, checkAccount, checkReady } from "../connecting.ts";
import type { Carried, ConsumingDeps } from "../consuming.ts";
import { findExits, fitting, inOrder, queryOf } from "../finding.ts";
import { type Watch, worthAnother } from "../proposing.ts";
import type { Dialler } from "../tunnelling.ts";
import type { ConnectOptions, ExitView } from "../types.ts";
import { type Avoided, firstsFor } from "./choose.ts";
import { lookFor } from "./looking.ts";

export type TwoHopsDeps = {
  /** with the service of the tunnel within, and with that of the one around it */
  last: ConnectingDeps & { network: Dialler; discovery: Pick<Discovery, "offers"> };
  first: ConnectingDeps;
  consuming: ConsumingDeps;
  peers: Pick<Network, "peers" | "hangUp">;
};

/** Connects through two exits, the second one's tunnel within that of the first. */
export type TwoHops = {
  /** exits for the first hop, in the order in which to try them */
  offers(): Promise<ExitView[]>;
  /** what that exit offers now, if it may be the first */
  offered(peer: string): ExitView | undefined;
  /**
   * Opens a session with one of `lasts` through one with another of `firsts`, for at most `left` base units, half for each. The two end together.
   * @throws NO_MATCHING_EXIT where no two of them go together, and as `lookFor` does
   */
  open(wanted: { lasts: ExitView[]; firsts: ExitView[]; left: bigint } & Avoiding, watch: Watch): Promise<Carried>;
};

type Avoiding = { avoided: Avoided; avoid(peer: string, cheats: boolean): void };

/** tried, of each hop */
const tries = 5;
/** for word of exits for the first hop */
const newsMs = 8_000;
const pollMs = 250;
/** the exit that is not needed any more has so long to confirm the end, where the other one has failed */
const farewellMs = 1_500;

/** Whether it has an address of its own: a way through NAT is found by telling the exit where this machine is. */
const isDirect = ({ addresses }: ExitView): boolean => addresses.some((address) => !isRelayed(address));

export function createTwoHops({ last, first, consuming, peers }: TwoHopsDeps, options: ConnectOptions): TwoHops {
  const { clock, log } = consuming;
  /** what is asked of an exit is asked of the last one; of the first, its price, and how well it is known to serve */
  const { peer: _, country: __, city: ___, networkKind: ____, openPorts: _____, evidence: ______, ...anyFirst } = options;
  /** Nothing of what we have with that exit goes outside of the tunnel any more, nor over a connection that was open before. */
  const hide = async ({ peer, addresses }: ExitView) => {
    await last.network.through(addresses);
    peers.hangUp(peer);
  };
  // what comes out of the first exit is the other tunnel, and says nothing of a country
  const around: ConsumingDeps = { ...consuming, witness: () => ({ stop: async () => undefined }) };

  const openFirst = async (firsts: ExitView[], budget: bigint, avoid: Avoiding["avoid"], { signal, step }: Watch) => {
    const over = new AbortController();
    const stop = () => over.abort();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      const carried = await lookFor({ connecting: first, consuming: around, avoid }, firsts, budget, { signal: over.signal, step });
      return {
        carried,
        /** From now on its end is ours to tell. */
        keep: () => signal.removeEventListener("abort", stop),
        end: async () => {
          over.abort();
          const late = setTimeout(() => carried.session.leave("INTERRUPTED", "the other exit has gone"), farewellMs);
          await carried.over;
          clearTimeout(late);
        },
      };
    } catch (error) {
      signal.removeEventListener("abort", stop);
      throw error;
    }
  };

  const open: TwoHops["open"] = async ({ lasts, firsts, left, avoided, avoid }, watch) => {
    const half = left / 2n;
    let entry: Awaited<ReturnType<typeof openFirst>> | undefined;
    let failure = noPair(lasts.length);
    try {
      for (const exit of lasts.slice(0, tries)) {
        const before = firstsFor(firsts, exit, avoided, clock.nowMs()).slice(0, tries);
        if (before.length === 0 || !isDirect(exit)) continue;
        await hide(exit);
        if (entry && !before.some(({ peer }) => peer === entry?.carried.exit.peer)) {
          await entry.end();
          entry = undefined;
        }
        try {
          entry ??= await openFirst(before, half, avoid, watch);
          const carried = await lookFor({ connecting: last, consuming, avoid }, [exit], half, watch);
          const both = joined(carried, entry);
          entry = undefined;
          return both;
        } catch (error) {
          failure = asMystError(error);
          if (watch.signal.aborted || !worthAnother(failure)) throw failure;
          log.info("two exits do not go together", { peer: exit.peer, code: failure.code });
        }
      }
      throw failure;
    } finally {
      await entry?.end();
    }
  };

  /** They end together, the last one first: it is through the other that it is told. */
  const joined = (carried: Carried, { carried: outer, keep, end }: Awaited<ReturnType<typeof openFirst>>): Carried => {
    let isOver = false;
    let lost: MystError | undefined;
    keep();
    void outer.over.then(({ failure }) => {
      if (isOver) return;
      lost = failure;
      // of the last exit that says nothing
      carried.session.leave("TUNNEL_FAILED", "the first exit carries nothing any more");
    });
    const over = carried.over.then(async (ended) => {
      isOver = true;
      await end();
      return { ...ended, ...(lost && { failure: lost, byFirst: true }) };
    });
    return { ...carried, first: outer, over };
  };

  return {
    offers: async () =>
      (await first.judging.shown(await inOrder(first, first.discovery.offers(queryOf(first, anyFirst)), anyFirst))).filter(isDirect),
    offered: (peer) => fitting(first.discovery.offers(queryOf(first, { ...anyFirst, peer })), options)[0],
    open,
  };
}

/**
 * Finds two exits that go together, and opens both. Of those that are best for the last hop, ones that this machine has no connection with go first:
 * they have not seen its address.
 * @throws as `connectToExit` does
 */
export async function connectByTwo(deps: TwoHopsDeps, hops: TwoHops, options: ConnectOptions, watch: Watch): Promise<Carried> {
  const { last, peers } = deps;
  await checkReady(last, options);
  const search = findExits(last, options, watch.signal);
  search.catch(() => undefined);
  checkAccount(await last.account(), last);
  const exits = await search;
  const known = new Set(peers.peers().map(({ peer }) => peer));
  const isKnown = ({ peer }: ExitView) => Number(known.has(peer));
  const lasts = [...exits.slice(0, tries).sort((a, b) => isKnown(a) - isKnown(b)), ...exits.slice(tries)];
  const [firsts, paired] = await firstsOf(deps, hops, lasts, watch.signal);
  const [exit] = paired;
  if (!exit) throw noPair(exits.length);
  watch.step({ step: "found", matching: paired.length, exit });
  try {
    return await hops.open({ lasts: paired, firsts, left: options.budget, avoided: new Map(), avoid: () => undefined }, watch);
  } catch (error) {
    if (asMystError(error).code !== "BUDGET_EXHAUSTED") throw error;
    throw new MystError("BUDGET_TOO_SMALL", "half of the budget does not buy one quantum: with two hops it is for two exits", {
      hint: "give a larger --budget",
      cause: error,
    });
  }
}

/** Exits for the first hop, and those of `lasts` that one of them goes with; what is known may be the last hop alone, so others are waited for. */
async function firstsOf(
  { consuming: { clock } }: TwoHopsDeps,
  hops: TwoHops,
  lasts: ExitView[],
  signal: AbortSignal,
): Promise<[ExitView[], ExitView[]]> {
  for (let waitedMs = 0; ; waitedMs += pollMs) {
    const firsts = await hops.offers();
    const paired = lasts.filter((one) => isDirect(one) && firstsFor(firsts, one, new Map(), 0).length > 0);
    if (paired.length > 0 || waitedMs >= newsMs) return [firsts, paired];
    await clock.sleep(pollMs, signal);
  }
}

const noPair = (count: number): MystError =>
  new MystError("NO_MATCHING_EXIT", `no other exit goes with ${count === 1 ? "the one that matches" : `any of the ${count} that match`}`, {
    hint: "two hops take exits of two owners in two networks: see 'mystnode exits', raise --max-price-gib, or leave --hops out",
  });
