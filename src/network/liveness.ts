import type { Connection } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import type { Ping } from "@libp2p/ping";
import type { Libp2p } from "libp2p";
import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { dialable } from "./multiaddrs.ts";
import type { Network } from "./network.ts";
import { peerError } from "./peer-error.ts";

type Deps = { host: Libp2p; ping: Pick<Ping, "ping"> };

const pingMs = 10_000;
const dialMs = 10_000;

/** Whether a peer is still there, sooner than libp2p notices, and another way to one whose connection leads nowhere any more. */
export function createLiveness({ host, ping }: Deps): Pick<Network, "ping" | "redial" | "hangUp"> {
  const open = (peer: string): Connection[] => host.getConnections(peerIdFromString(peer)).filter(({ status }) => status === "open");
  return {
    ping: async (peer, signal) => {
      // libp2p would dial it
      if (open(peer).length === 0) throw new MystError("PEER_UNREACHABLE", `peer ${peer} is not connected`, { meta: { peer } });
      const limit = deadline(pingMs, signal);
      try {
        return await ping.ping(peerIdFromString(peer), { signal: limit });
      } catch (cause) {
        throw peerError(peer, cause, limit);
      }
    },
    redial: async (peer, addresses, signal) => {
      const before = open(peer);
      const limit = deadline(dialMs, signal);
      const targets = dialable(peer, addresses);
      try {
        const made = await host.dial(targets.length > 0 ? targets : peerIdFromString(peer), { signal: limit, force: true });
        return {
          take: () => {
            for (const connection of before) if (connection !== made) connection.abort(new Error("a newer connection takes its place"));
          },
          drop: () => {
            if (!before.includes(made)) made.abort(new Error("not needed"));
          },
        };
      } catch (cause) {
        const error = peerError(peer, cause, limit);
        if (!isRefused(cause)) throw error;
        throw new MystError(error.code, error.message, { meta: { peer, refused: true }, cause });
      }
    },
    hangUp: (peer) => {
      for (const connection of open(peer)) connection.abort(new Error("given up"));
    },
  };
}

/** Whether the machine itself says that nobody listens there. */
function isRefused(error: unknown): boolean {
  const { code, errors, cause } = error as { code?: unknown; errors?: unknown[]; cause?: unknown };
  if (code === "ECONNREFUSED") return true;
  if (errors !== undefined) return errors.length > 0 && errors.every(isRefused);
  return cause !== undefined && isRefused(cause);
}
