import { isIPv4 } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { ServiceConsumer } from "../services/service.ts";
import { createWireguardClient } from "../services/wireguard/consumer.ts";
import type { Helper } from "../services/wireguard/types.ts";
import { createControlPlane, placesOf } from "./control-plane.ts";
import { needsHelper } from "./selling.ts";
import type { Connection, ConnectOptions, TunnelView } from "./types.ts";

export type TunnellingDeps = {
  /** absent: this node opens no tunnels */
  helper: Helper | undefined;
  /** undefined until the node has joined */
  network(): Pick<Network, "peers" | "connect"> | undefined;
  bootstrap: string[];
  rpc: string[];
  clock: Clock;
  log: Logger;
};

/** Why nothing leaves the machine any more, and the two ways on. */
const blockedHint = "nothing leaves this machine until you run 'mystnode connect' again, or 'mystnode disconnect' to go without a tunnel";

/** The node's way through tunnels as a consumer: the kill switch outlives sessions, and goes when nobody wants it any more. */
export type Tunnelling = {
  state(): TunnelView | undefined;
  /** To be called before the first peer is dialled: a kill switch that was left would keep us from it. */
  adopt(): Promise<void>;
  /** Dials through the kill switch. */
  dialler: Pick<Network, "connect">;
  /** Runs `connect` for a session by the service's consumer. What fails before it was open leaves the host as it was before. */
  connect(
    options: Pick<ConnectOptions, "backend" | "postQuantum" | "shield">,
    connect: (service: ServiceConsumer) => Promise<Connection>,
  ): Promise<Connection>;
  unblock(): Promise<boolean>;
};

export function createTunnelling(deps: TunnellingDeps): Tunnelling {
  const { helper, log } = deps;
  const peers = () => deps.network()?.peers() ?? [];
  const control = createControlPlane(deps);
  /**
   * Addresses of the peer reached last, and of those being dialled. One is among `peers` only once it is identified; an exception that it
   * loses before that would cut the very connection on which it is about to be proposed to.
   */
  let reached: string[] = [];
  const dialling = new Set<string[]>();
  const client =
    helper &&
    createWireguardClient({
      helper,
      control: () => control.endpoints([...reached, ...[...dialling].flat(), ...peers().flatMap(({ addresses }) => addresses)]),
      addressOf: (peer) => placesOf(peers().find((one) => one.peer === peer)?.addresses ?? []).find(({ host }) => isIPv4(host))?.host,
      uid: process.getuid?.() ?? 0,
      clock: deps.clock,
      log,
    });
  const standing = () => client?.state().intent === "secured";
  const release = async () => {
    await client?.release();
  };

  /** Who disconnects finds the host as it was; who is disconnected stays behind the kill switch. */
  const guarded = (connection: Connection): Connection => {
    const ended = connection.ended.then(
      async (session) => {
        await release();
        return session;
      },
      async (error) => {
        const { code, message, meta } = asMystError(error);
        if (!standing()) {
          await release().catch(() => undefined);
          throw error;
        }
        log.warn("the kill switch stays", { code });
        throw new MystError(code, message, { hint: blockedHint, meta, cause: error });
      },
    );
    ended.catch(() => undefined);
    return {
      ...connection,
      ended,
      disconnect: async () => {
        const session = await connection.disconnect();
        // what ended meanwhile against our will was still to end by our will
        await ended.catch(release);
        return session;
      },
    };
  };

  return {
    state: () => client?.state(),
    adopt: async () => {
      await client?.adopt();
    },
    dialler: {
      connect: async (peer, addresses, signal) => {
        reached = [];
        dialling.add(addresses);
        try {
          await client?.refresh();
          await deps.network()?.connect(peer, addresses, signal);
          reached = addresses;
        } finally {
          dialling.delete(addresses);
        }
      },
    },
    connect: async ({ backend, postQuantum, shield }, connect) => {
      if (!client) throw needsHelper();
      const before = standing();
      try {
        return guarded(
          await connect(
            client.consumer({
              ...(backend !== undefined && { backend }),
              ...(postQuantum !== undefined && { postQuantum }),
              ...(shield && { shield }),
            }),
          ),
        );
      } catch (error) {
        if (!before) await release();
        throw error;
      }
    },
    unblock: async () => {
      const stood = standing();
      if (stood) await release();
      return stood;
    },
  };
}
