import type { Socket } from "node:dgram";
import type { Clock } from "../../lib/clock.ts";
import type { Carrier } from "../counted-grant.ts";
import { isSame, type Place } from "../nat.ts";
import type { Sighting, Sightings } from "./sightings.ts";

/** datagrams that wait to be sent; what comes on top is lost, as on any line */
const mostWaiting = 256;

/**
 * Carries datagrams between the two that have greeted this socket, as far as there is credit; counts them as an exit's tunnel does. Either may greet again from elsewhere. Nothing goes to anybody else, and nothing is answered.
 */
export function carry(
  { socket, sightings, clock }: { socket: Socket; sightings: Pick<Sightings, "greeted">; clock: Pick<Clock, "nowMs"> },
  { near, far }: { near: Sighting; far: Sighting },
): Carrier {
  let [rxBytes, txBytes] = [0n, 0n];
  let allowed = 0n;
  let untilMs = 0;
  const counters = () => ({ rxBytes, txBytes });
  const send = (datagram: Uint8Array, to: Place | undefined): boolean => {
    const bytes = BigInt(datagram.byteLength);
    if (!to || socket.getSendQueueCount() > mostWaiting) return false;
    if (clock.nowMs() >= untilMs || rxBytes + txBytes + bytes > allowed) return false;
    socket.send(datagram, to.port, to.address, () => undefined);
    return true;
  };
  socket.on("error", () => undefined);
  socket.on("message", (datagram, { address, port }) => {
    const from = { address, port };
    if (near.place && isSame(near.place, from)) {
      if (send(datagram, far.place)) rxBytes += BigInt(datagram.byteLength);
    } else if (far.place && isSame(far.place, from)) {
      if (send(datagram, near.place)) txBytes += BigInt(datagram.byteLength);
    } else sightings.greeted(datagram, from, [near, far]);
  });
  return {
    counters,
    credit: ({ totalBytes, forMs }) => {
      allowed = totalBytes;
      untilMs = clock.nowMs() + forMs;
    },
    dismiss: async () => {
      socket.close();
      return counters();
    },
  };
}
