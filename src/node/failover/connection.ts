import type { MystError } from "../../lib/errors.ts";
import { type ConnectingDeps, connectToExit } from "../connecting.ts";
import { type Carried, consume } from "../consuming.ts";
import type { Watch } from "../proposing.ts";
import type { Connection, ConnectOptions, ConnectStep, FailoverChoice, FailoverStep, SessionView } from "../types.ts";
import { type Keeper, type KeeperDeps, keepCarried } from "./keeper.ts";
import { connectByTwo, createTwoHops } from "./two-hops.ts";

export type StayingDeps = Pick<KeeperDeps, "connecting" | "consuming" | "peers"> & {
  /** what was promised beside the exits, for the way to them, base units */
  beside?(): bigint;
  /** with two hops: to open the session with the first exit; `connecting` is for the last one's */
  first?: ConnectingDeps;
};

const sessionsKept = 100;
const switchesKept = 20;

const choiceOf = ({ failover, peer }: ConnectOptions): FailoverChoice => failover ?? (peer === undefined ? "any" : "same");

/** Of both hops, the last one last. */
const viewsOf = ({ first, view }: Carried): SessionView[] => [...(first ? [first.view()] : []), view()];

/**
 * Connects, and stays connected: the exit that carries is watched, another stands by, and takes over when it goes. The budget is for all of
 * it. What the service holds on to between sessions, as a kill switch or a port, stays as it is.
 * @throws as `connectToExit` does
 */
export async function stayConnected(deps: StayingDeps, options: ConnectOptions, stop: AbortSignal): Promise<Connection> {
  const { connecting, consuming } = deps;
  const { clock, events } = consuming;
  const { service } = connecting.session;
  const choice = choiceOf(options);
  const over = new AbortController();
  const signal = AbortSignal.any([stop, over.signal, ...(options.signal ? [options.signal] : [])]);
  const beganMs = clock.nowMs();
  let keeper: Keeper | undefined;
  const watch: Watch = {
    signal,
    step: (progress) => {
      if (!keeper) options.onStep?.({ ...progress, atMs: clock.nowMs() - beganMs } as ConnectStep);
    },
    ...(choice !== "off" && { onLost: () => keeper?.lost() }),
  };

  let now: Carried;
  const twoHopsDeps = deps.first && { ...{ last: connecting, first: deps.first, consuming }, peers: deps.peers };
  const hops = twoHopsDeps && createTwoHops(twoHopsDeps, options);
  try {
    now =
      twoHopsDeps && hops
        ? await connectByTwo(twoHopsDeps, hops, options, watch)
        : await consume(consuming, (more) => connectToExit(connecting, options, { ...watch, ...more }));
  } catch (error) {
    await service.release?.();
    throw error;
  }

  const ended = Promise.withResolvers<SessionView>();
  ended.promise.catch(() => undefined);
  const earlier: SessionView[] = [];
  /** of sessions that are over: promised, base units, and carried */
  let spent = { promised: 0n, bytes: 0n };
  const switches: FailoverStep[] = [];
  let isOver = false;

  const finish = async (failure?: MystError) => {
    if (isOver) return;
    isOver = true;
    over.abort();
    await keeper?.stop();
    const { view } = await now.over;
    await service.release?.();
    if (failure) ended.reject(failure);
    else ended.resolve(view);
  };
  const onCarried = (carried: Carried) => {
    const last = now.view();
    spent = { promised: promised(), bytes: spent.bytes + last.usedBytes };
    earlier.push(...viewsOf(now));
    earlier.splice(0, Math.max(0, earlier.length - sessionsKept + 1));
    now = carried;
  };
  const tell = (step: FailoverStep) => {
    if (step.what !== "standby") switches.push(step);
    if (switches.length > switchesKept) switches.shift();
    events.emit({ type: "failover", step });
  };
  const promised = () => viewsOf(now).reduce((sum, view) => sum + view.promised, spent.promised) + (deps.beside?.() ?? 0n);

  // what ends by wish ends by the signal
  if (choice === "off") void now.over.then(({ failure }) => finish(failure));
  else
    keeper = keepCarried(
      {
        ...deps,
        ...(hops && { hops }),
        left: () => options.budget - promised(),
        onCarried,
        onEnd: (failure) => void finish(failure),
        tell,
      },
      now,
      { ...options, mode: choice },
      watch,
    );
  signal.addEventListener("abort", () => void finish(), { once: true });

  return {
    get sessionId() {
      return now.session.id;
    },
    get exit() {
      return now.exit;
    },
    get endpoint() {
      return now.session.endpoint;
    },
    session: () => now.view(),
    sessions: () => [...earlier, ...viewsOf(now)],
    first: () => now.first && { ...now.first.view(), endpoint: now.first.session.endpoint },
    failover: () => {
      const standby = keeper?.standby();
      return {
        choice,
        state: keeper?.state() ?? "carrying",
        ...(standby && { standby: { peer: standby.peer, country: standby.country } }),
        usedBytes: spent.bytes + now.view().usedBytes,
        promised: promised(),
        switches: [...switches],
      };
    },
    ended: ended.promise,
    disconnect: async () => {
      await finish();
      // it may have ended against our will in the same moment
      return ended.promise.catch(() => now.view());
    },
  };
}
