import type { Clock } from "../../lib/clock.ts";
import { ownAddresses } from "../../lib/own-addresses.ts";
import type { ConsumerSession } from "../../session/consumer-driver.ts";
import type { FailoverEvent } from "./machine.ts";
import { counted, isSlow, newTrend, settled } from "./trend.ts";

export type WatchDeps = { clock: Pick<Clock, "nowMs">; send(event: FailoverEvent): void };

/** Looks at the session of now, and at this machine's own addresses. */
export type Watch = {
  /** Another session is to be looked at; none: there is none. */
  see(session: ConsumerSession | undefined): void;
  /** It has been asked from inside of the service; `measured`: how fast it is, too. */
  asked(measured: boolean): void;
  stop(): void;
};

const everyMs = 250;
/** after a look that comes so late there is something to be read before it says anything */
const lateMs = 750;
/** no more than this comes when it is asked from inside */
const answerBytes = 2_048n;
/** in looks */
const addressesEvery = 4;

export function watchExit({ clock, send }: WatchDeps): Watch {
  let session: ConsumerSession | undefined;
  let trend = newTrend(0);
  /** what had come when it last rose, and when that was: a sign of life as good as a word */
  let come = { bytes: 0n, atMs: 0 };
  /** what had come when it was asked from inside, with the answers to that */
  let askedBytes = -1n;
  let lookedMs = clock.nowMs();
  let looks = 0;
  let addresses = ownAddresses().join(" ");

  const lookAtAddresses = (atMs: number) => {
    const now = ownAddresses().join(" ");
    if (now === addresses) return;
    addresses = now;
    send({ type: "moved", atMs });
  };
  const look = () => {
    const atMs = clock.nowMs();
    const late = atMs - lookedMs > lateMs;
    lookedMs = atMs;
    looks += 1;
    if (looks % addressesEvery === 0) lookAtAddresses(atMs);
    if (!session || late) return;
    const { silentMs, waitingMs, usedBytes, comeBytes } = session.look();
    if (comeBytes > come.bytes) come = { bytes: comeBytes, atMs };
    trend = counted(trend, atMs, usedBytes, usedBytes - comeBytes);
    const mayAsk = comeBytes > askedBytes;
    send({ type: "looked", atMs, silentMs: Math.min(silentMs, atMs - come.atMs), waitingMs, isSlow: isSlow(trend), mayAsk });
  };
  const timer = setInterval(look, everyMs);
  return {
    see: (next) => {
      session = next;
      const atMs = clock.nowMs();
      trend = newTrend(atMs);
      come = { bytes: 0n, atMs };
      askedBytes = -1n;
    },
    asked: (measured) => {
      askedBytes = come.bytes + answerBytes;
      if (measured) trend = settled(trend);
    },
    stop: () => clearInterval(timer),
  };
}
