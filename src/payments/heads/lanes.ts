import type { Clock } from "../../lib/clock.ts";
import type { Validity } from "../../network/network.ts";
import type { SignedHead } from "./head.ts";

/** What looking at a head comes to; `urgent`: it goes on at once, and beside what else is told of its channel. */
export type Checked = { validity: Validity; urgent?: boolean };

export type LanesDeps = {
  clock: Clock;
  /** looks at the signature and takes the head in */
  check(head: SignedHead): Promise<Checked>;
  /** 0 to below 1 */
  random?: () => number;
};

export type Lanes = {
  /** What is to become of a head that this neighbour has told: known when it may be passed on. */
  offer(head: SignedHead, from: string): Promise<Validity>;
  stop(): void;
};

type Waiting = { head: SignedHead; resolve(validity: Validity): void };
type Lane = {
  /** when it may be looked at again */
  dueMs: number;
  /** what waits for that, one of each neighbour */
  waiting: Map<string, Waiting>;
  scheduled: boolean;
  /** taken in, and to be passed on */
  held: { resolve(validity: Validity): void } | undefined;
};

/** A channel's heads are looked at this often at most. */
export const laneMs = 1_000;
/** A head is passed on this long after it was taken in at the latest. */
export const relayMs = 2_000;
/** @param drawn 0 to below 1 */
export const relayDelayMs = (drawn: number): number => relayMs * drawn ** 2;
const mostNeighbours = 16;
/** heads that wait to be passed on, of all channels */
const mostHeld = 4_096;

/**
 * A lane for each channel: its heads are looked at once a second at most, the one with the most money first, which makes others
 * of no use; so a payer that floods its own channel can neither cost much nor keep out what its exit tells. What was taken in is passed
 * on after 0 to 2 s, drawn by lot with short waits more likely (2 s * u^2), or those at the far end would hear of it too late; if
 * something newer of its channel comes meanwhile, that goes in its place and at its time.
 */
export function createLanes({ clock, check, random = Math.random }: LanesDeps): Lanes {
  const lanes = new Map<string, Lane>();
  const heldLanes = new Set<Lane>();
  const stopped = new AbortController();

  const release = (lane: Lane, validity: Validity) => {
    lane.held?.resolve(validity);
    lane.held = undefined;
    heldLanes.delete(lane);
  };
  const hold = (lane: Lane, resolve: Waiting["resolve"]) => {
    if (lane.held) {
      lane.held.resolve("ignore");
      lane.held = { resolve };
      return;
    }
    lane.held = { resolve };
    heldLanes.add(lane);
    const [oldest] = heldLanes;
    if (heldLanes.size > mostHeld && oldest) release(oldest, "accept");
    clock.sleep(relayDelayMs(random()), stopped.signal).then(
      () => release(lane, "accept"),
      () => undefined,
    );
  };
  const look = async (key: string, lane: Lane) => {
    lane.scheduled = false;
    lane.dueMs = clock.nowMs() + laneMs;
    const all = [...lane.waiting.values()].sort((a, b) => (a.head.promise.cumulative > b.head.promise.cumulative ? -1 : 1));
    lane.waiting.clear();
    for (const { head, resolve } of all) {
      const { validity, urgent } = await check(head).catch((): Checked => ({ validity: "ignore" }));
      if (validity !== "accept" || urgent) resolve(validity);
      else hold(lane, resolve);
    }
    await clock.sleep(laneMs, stopped.signal).catch(() => undefined);
    if (!lane.scheduled && !lane.held && lane.waiting.size === 0) lanes.delete(key);
  };
  const schedule = (key: string, lane: Lane) => {
    if (lane.scheduled) return;
    lane.scheduled = true;
    const restMs = lane.dueMs - clock.nowMs();
    if (restMs <= 0) void look(key, lane);
    else
      clock.sleep(restMs, stopped.signal).then(
        () => look(key, lane),
        () => undefined,
      );
  };

  return {
    offer: (head, from) =>
      new Promise((resolve) => {
        if (stopped.signal.aborted) return resolve("ignore");
        const key = `${head.signer}/${head.promise.channel}`;
        const lane = lanes.get(key) ?? { dueMs: 0, waiting: new Map(), scheduled: false, held: undefined };
        lanes.set(key, lane);
        const before = lane.waiting.get(from);
        if (before && before.head.promise.cumulative >= head.promise.cumulative) return resolve("ignore");
        before?.resolve("ignore");
        lane.waiting.set(from, { head, resolve });
        if (lane.waiting.size > mostNeighbours) {
          const [unlucky, dropped] = [...lane.waiting][Math.floor(random() * lane.waiting.size)] ?? [];
          if (unlucky !== undefined) lane.waiting.delete(unlucky);
          dropped?.resolve("ignore");
        }
        schedule(key, lane);
      }),
    stop: () => {
      stopped.abort();
      for (const lane of lanes.values()) {
        for (const { resolve } of lane.waiting.values()) resolve("ignore");
        release(lane, "ignore");
      }
    },
  };
}
