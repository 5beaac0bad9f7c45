import type { Clock } from "../lib/clock.ts";
import type { Waiting } from "./service.ts";
import { createUnanswered, type Patience } from "./unanswered.ts";

/** a WireGuard packet without content: it asks for nothing and answers nothing */
const keepaliveBytes = 32n;

/**
 * How long a client's questions have gone without an answer, as far as counters tell: something has gone up and nothing has come down.
 * `look` is given all bytes so far whenever they have been read.
 */
export function createTunnelWaiting(deps: { clock: Pick<Clock, "nowMs"> }, patience: Patience) {
  const wait = createUnanswered(deps, patience);
  let [up, down] = [0n, 0n];
  return {
    look: (upBytes: bigint, downBytes: bigint): void => {
      const [asked, answered] = [upBytes - up, downBytes - down];
      [up, down] = [upBytes, downBytes];
      if (asked > keepaliveBytes) {
        wait.asked();
        // nobody can be seen to wait for a datagram
        wait.settled();
        wait.carriedUp(Number(asked));
      }
      if (answered > keepaliveBytes) wait.answered();
    },
    read: (): Waiting => wait.read(),
  };
}
