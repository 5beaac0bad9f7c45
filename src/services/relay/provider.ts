import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { Clock } from "../../lib/clock.ts";
import { MystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import type { Network } from "../../network/network.ts";
import { createGrant } from "../counted-grant.ts";
import type { Admission, Grant, ServiceProvider } from "../service.ts";
import { answerSeen } from "./answering.ts";
import { carry } from "./carrying.ts";
import { createSightings, type Sighting } from "./sightings.ts";

export type RelayDeps = { network: Pick<Network, "answer">; clock: Pick<Clock, "nowMs">; log: Logger };

/** `port`: UDP, where greetings are seen; those above it carry a session each. 0: any that are free. `sessions`: at a time */
export type RelayOptions = { port: number; sessions: number };

export type RelayProvider = ServiceProvider & { port: number };

/**
 * The `relay` service: forwards datagrams between two WireGuard sockets that cannot reach each other, and shows others where their sockets are
 * seen, which is free. What it forwards it cannot read, and it goes nowhere but to who has greeted it with a key of the session.
 * @throws PORT_IN_USE
 */
export async function openRelayProvider(deps: RelayDeps, { port, sessions: most }: RelayOptions): Promise<RelayProvider> {
  const { network, clock, log } = deps;
  const sightings = createSightings(clock);
  const observed = new Set<Sighting>();
  const socket = await bound(port);
  socket.on("message", (datagram, { address, port: from }) => void sightings.greeted(datagram, { address, port: from }, observed));
  socket.on("error", (error) => log.warn("the relay's socket failed", { error: error.message }));
  const listening = socket.address().port;
  await answerSeen({ network, sightings }, listening, observed);
  const grants = new Map<string, Grant>();
  const taken = new Set<number>();

  const freeSocket = async (): Promise<Socket> => {
    if (grants.size + 1 > most) throw new MystError("EXIT_FULL", "this relay has no free port");
    if (port === 0) return bound(0);
    for (let next = port + 1; next <= Math.min(port + most, 65_535); next += 1) {
      if (taken.has(next)) continue;
      const found = await bound(next).catch(() => undefined);
      if (found) return found;
    }
    throw new MystError("EXIT_FULL", "this relay has no free port");
  };

  const admit = async ({ sessionId, peer }: Admission): Promise<Grant> => {
    if (grants.has(sessionId)) throw new MystError("PEER_REFUSED", "this session has been admitted before");
    const near = sightings.open(peer);
    const far = near && sightings.open(peer);
    if (!near || !far) throw new MystError("EXIT_FULL", "too many sessions of this peer");
    const close = () => {
      sightings.close(near);
      sightings.close(far);
    };
    try {
      const own = await freeSocket();
      const { port: at } = own.address();
      taken.add(at);
      const carrying = carry({ socket: own, sightings, clock }, { near, far });
      const grant = createGrant({ carrier: carrying, clock }, { port: at, near: near.key, far: far.key }, () => {
        grants.delete(sessionId);
        taken.delete(at);
        close();
      });
      grants.set(sessionId, grant);
      return grant;
    } catch (error) {
      close();
      throw error;
    }
  };

  return {
    kind: "relay",
    port: listening,
    policySummary: () => "",
    closedPorts: () => [],
    admit,
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([...grants.values()].map((grant) => grant.end()));
      socket.close();
    },
  };
}

async function bound(port: number): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(port);
  try {
    await once(socket, "listening");
  } catch (cause) {
    socket.close();
    throw new MystError("PORT_IN_USE", `UDP port ${port} is taken`, { hint: "choose another with --relay-port", cause });
  }
  return socket;
}
