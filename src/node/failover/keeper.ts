import type { Discovery } from "../../discovery/discovery.ts";
import { asMystError, type MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import { runMachine } from "../../lib/machine.ts";
import type { Network } from "../../network/network.ts";
import type { ConnectingDeps } from "../connecting.ts";
import { type Carried, type ConsumingDeps, failureOf } from "../consuming.ts";
import { fitting, inOrder, queryOf } from "../finding.ts";
import type { DistributiveOmit, Watch } from "../proposing.ts";
import type { Dialler } from "../tunnelling.ts";
import type { ConnectOptions, ExitView, FailoverStep } from "../types.ts";
import { firstsFor, type Looking, standbys, successors } from "./choose.ts";
import { lookFor } from "./looking.ts";
import {
  type FailoverEffect,
  type FailoverEvent,
  type FailoverState,
  initialFailover,
  isCheating,
  stepFailover,
  type Verdict,
} from "./machine.ts";
import { answerMs, probeExit } from "./probe.ts";
import { keepStandby, type Standby } from "./standby.ts";
import type { TwoHops } from "./two-hops.ts";
import { watchExit } from "./watch.ts";

export type KeeperDeps = {
  connecting: ConnectingDeps & { network: Dialler; discovery: Pick<Discovery, "used"> };
  consuming: ConsumingDeps;
  peers: Pick<Network, "peers" | "ping" | "hangUp" | "onDisconnect">;
  /** two exits carry it, one through the other: where one of them is lost both are opened anew, and what stands by is for the first hop */
  hops?: TwoHops;
  /** of the budget, base units */
  left(): bigint;
  /** Another session carries from now on. */
  onCarried(carried: Carried): void;
  /** Nothing will carry any more, and that is not our wish. */
  onEnd(failure: MystError): void;
  tell(step: FailoverStep): void;
};

/** Keeps a connection carried, by whichever exit. */
export type Keeper = {
  state(): "carrying" | "probing" | "looking";
  standby(): ExitView | undefined;
  /** the session's stream broke */
  lost(): void;
  stop(): Promise<void>;
};

/** tried in one look */
const tries = 5;
/** one that was no use is not tried before others for so long */
const avoidMs = 60_000;

/** Performs what `stepFailover` decides. `signal` ends everything. */
export function keepCarried(deps: KeeperDeps, first: Carried, options: ConnectOptions & { mode: "any" | "same" }, watch: Watch): Keeper {
  const { connecting, consuming, peers, hops } = deps;
  const { network, discovery } = connecting;
  const { clock } = consuming;
  const log = consuming.log.child("failover");
  const { mode } = options;
  const { signal } = watch;
  const avoided = new Map<string, number>();
  let now = first;
  /** why the last exit was left */
  let reason = "";
  /** of two, when neither answers */
  let firstIsLost = false;
  /** a probe of an exit that has been left is of no interest */
  let probing = new AbortController();
  let wake: () => void = () => undefined;
  let work: Promise<void> = Promise.resolve();

  const machine = runMachine<FailoverState, FailoverEvent, FailoverEffect>({
    initial: initialFailover(mode, clock.nowMs()),
    step: stepFailover,
    perform,
  });
  const send = (event: FailoverEvent) => {
    machine.send(event).catch((error) => log.error("a connection is not looked after", { code: asMystError(error).code }));
    if (event.type === "moved") wake();
  };
  const tell = (step: DistributiveOmit<FailoverStep, "atMs">) => deps.tell({ ...step, atMs: clock.nowMs() } as FailoverStep);
  const avoid = (peer: string, cheats: boolean) => void avoided.set(peer, cheats ? Number.POSITIVE_INFINITY : clock.nowMs() + avoidMs);

  const { peer: _, ...anybody } = options;
  /** the exit that our own line leads to */
  const outer = () => now.first ?? now;
  /** what that exit offers now, if it may carry */
  const offered = (peer: string) =>
    (hops ? [hops.offered(peer)] : fitting(discovery.offers(queryOf(connecting, { ...anybody, peer })), options)).find(
      (exit) => exit && exit.peer !== outer().exit.peer,
    );
  /** exits that may carry, in the order in which to try them, with what is known of them */
  const offers = async () => {
    const wanted = mode === "any" ? anybody : { ...anybody, peer: now.exit.peer };
    return connecting.judging.shown(await inOrder(connecting, discovery.offers(queryOf(connecting, wanted)), wanted));
  };
  /** beside those that carry and stand by */
  const hold = (...also: ExitView[]) => network.hold([outer().exit, standby?.current(), ...also].flatMap((exit) => exit?.addresses ?? []));
  const candidates = async () =>
    hops
      ? firstsFor(await hops.offers(), now.exit, avoided, clock.nowMs()).filter(({ peer }) => peer !== outer().exit.peer)
      : standbys(await offers(), now.exit, avoided, clock.nowMs());
  const standby: Standby | undefined =
    mode === "same" && !hops
      ? undefined
      : keepStandby({
          candidates,
          offered: (peer) => offered(peer),
          connect: async (exit, until) => {
            hold(exit);
            await network.connect(exit.peer, exit.addresses, until);
            await connecting.recall(exit, until);
          },
          reconnect: async (exit, until) => (await network.redial(exit.peer, exit.addresses, until)).take(),
          ping: peers.ping,
          avoid: (peer) => avoid(peer, false),
          onChange: (exit) => {
            hold();
            tell({ what: "standby", ...(exit && { peer: exit.peer, country: exit.country }) });
            wake();
          },
          log,
        });
  const watcher = watchExit({ clock, send });
  const forget = peers.onDisconnect((peer) => {
    if (peer === standby?.current()?.peer) standby.look();
  });

  const carry = (carried: Carried) => {
    now = carried;
    hold();
    watcher.see(carried.session);
    void carried.over.then(({ failure, byFirst }) => {
      if (now !== carried) return;
      watcher.see(undefined);
      probing.abort();
      probing = new AbortController();
      if (!failure) return;
      reason = failure.message;
      const { peer } = byFirst && carried.first ? carried.first.exit : carried.exit;
      avoid(peer, isCheating(failure));
      log.info("the exit that carried is left", { peer, code: failure.code });
      send({ type: "ended", atMs: clock.nowMs(), failure });
    });
  };

  const probe = async ({ cause, afterMs }: Extract<FailoverEffect, { type: "probe" }>) => {
    const { signal: until } = probing;
    await clock.sleep(afterMs, AbortSignal.any([signal, until])).catch(() => undefined);
    if (until.aborted || signal.aborted) return;
    const tools = { ping: peers.ping, redial: network.redial, standby: { ping: async (by: AbortSignal) => standby?.ping(by) } };
    const by = AbortSignal.any([signal, until]);
    const { first } = now;
    const [probed, isThere] = await Promise.all([
      probeExit(tools, now.exit, now.session, cause, by),
      first && peers.ping(first.exit.peer, deadline(answerMs, by)).catch(() => undefined),
    ]);
    const { standby: stands } = probed;
    const isBad = probed.verdict === "gone" || probed.verdict === "dead" || probed.verdict === "deaf";
    firstIsLost = first !== undefined && isBad && isThere === undefined;
    // through one that is gone none answers, and no other last exit would
    const verdict: Verdict = firstIsLost && stands ? "dead" : probed.verdict;
    if (until.aborted) return;
    log.info("the exit was probed", { peer: now.exit.peer, cause, verdict, standby: stands });
    if (cause === "slow" || cause === "unanswered") watcher.asked(cause === "slow");
    if (verdict === "rejoined" || cause === "moved") standby?.look();
    send({ type: "probed", atMs: clock.nowMs(), verdict, standby: stands });
  };

  const look = async ({ first: before, afterMs }: Extract<FailoverEffect, { type: "look" }>) => {
    await pause(afterMs);
    if (signal.aborted) return;
    const left = now.exit;
    const known = { current: left, standby: standby?.current(), avoided, nowMs: clock.nowMs(), first: before, mode };
    try {
      const carried = await (hops ? openBoth(hops, known) : openOne(known));
      carry(carried);
      connecting.discovery.used(carried.exit.peer);
      deps.onCarried(carried);
      send({ type: "opened", atMs: clock.nowMs() });
      standby?.look();
    } catch (error) {
      const { code, message } = asMystError(error);
      if (signal.aborted) return;
      if (machine.state().rounds === 0) tell({ what: "looking", from: left.peer, reason });
      send({ type: "failed", failure: { code, message } });
    }
  };
  const openOne = async (known: Looking<ExitView>) => {
    const exits = successors(await offers(), known).slice(0, tries);
    hold(...exits);
    return lookFor({ connecting, consuming, avoid }, exits, deps.left(), watch);
  };
  /** An exit for the last hop stands by for nothing: nobody of those is to hear from us outside of a tunnel. */
  const openBoth = async ({ open, offers: firstOffers }: TwoHops, known: Looking<ExitView>) => {
    const lasts = successors(await offers(), { ...known, standby: undefined }).slice(0, tries);
    const ready = known.standby ? [known.standby] : [];
    const firsts = [...ready, ...(await firstOffers()).filter(({ peer }) => peer !== ready[0]?.peer)];
    hold(...firsts.slice(0, tries));
    return open({ lasts, firsts, left: deps.left(), avoided, avoid }, watch);
  };
  /** Until something has changed. */
  const pause = async (ms: number) => {
    const woken = new AbortController();
    wake = () => woken.abort();
    await clock.sleep(ms, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
  };

  let from = first.exit;
  function perform(effect: FailoverEffect): void {
    const { session, exit } = now;
    if (effect.type === "probe") void probe(effect);
    else if (effect.type === "look") {
      from = exit;
      work = look(effect);
    } else if (effect.type === "leave") {
      // whatever still runs over its connection would be waited for
      const lost = (firstIsLost && now.first) || now;
      firstIsLost = false;
      if (effect.code === "PEER_TIMEOUT") peers.hangUp(lost.exit.peer);
      lost.session.leave(effect.code, effect.message);
    } else if (effect.type === "resumed") tell({ what: "resumed", peer: exit.peer, session: session.id, tookMs: effect.tookMs });
    else if (effect.type === "switched") {
      const to = { peer: exit.peer, country: exit.country, session: session.id, endpoint: session.endpoint };
      tell({ what: "switched", from: from.peer, ...to, reason, tookMs: effect.tookMs });
    } else deps.onEnd(failureOf(effect.failure));
  }

  carry(first);
  return {
    state: () => {
      const { phase } = machine.state();
      return phase === "CARRYING" ? "carrying" : phase === "PROBING" ? "probing" : "looking";
    },
    standby: () => standby?.current(),
    lost: () => send({ type: "lost", atMs: clock.nowMs() }),
    stop: async () => {
      send({ type: "disconnect" });
      watcher.stop();
      forget();
      probing.abort();
      network.hold([]);
      await Promise.all([standby?.stop(), work]);
    },
  };
}
