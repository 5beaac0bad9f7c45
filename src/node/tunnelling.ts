import { isIPv4 } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { ServiceConsumer } from "../services/service.ts";
import { createWireguardClient } from "../services/wireguard/consumer.ts";
import type { Meet } from "../services/wireguard/meeting.ts";
import type { Helper } from "../services/wireguard/types.ts";
import { createControlPlane, placesOf } from "./control-plane.ts";
import { needsHelper } from "./selling.ts";
import type { Connection, ConnectOptions, TunnelView } from "./types.ts";

export type TunnellingDeps = {
  /** absent: this node opens no tunnels */
  helper: Helper | undefined;
  /** undefined until the node has joined */
  network(): Pick<Network, "peers" | "connect" | "redial"> | undefined;
  bootstrap: string[];
  rpc: string[];
  clock: Clock;
  log: Logger;
};

/** Why nothing leaves the machine any more, and the two ways on. */
const blockedHint = "nothing leaves this machine until you run 'mystnode connect' again, or 'mystnode disconnect' to go without a tunnel";

/** Dials through the kill switch. */
export type Dialler = Pick<Network, "connect" | "redial"> & {
  /** These addresses keep their way through from the next dial on, whoever else is connected: of the exit that carries and its standby. */
  hold(addresses: string[]): void;
  /**
   * These addresses, and whatever else is on their hosts, are reached through the first of two tunnels from now on, or not at all; none: no more.
   * Resolves once the kill switch has it so, which is raised for that.
   */
  through(addresses: string[]): Promise<void>;
};

/** The node's way through tunnels as a consumer: the kill switch outlives sessions, and goes when nobody wants it any more. */
export type Tunnelling = {
  state(): TunnelView | undefined;
  /** To be called before the first peer is dialled: a kill switch that was left would keep us from it. */
  adopt(): Promise<void>;
  dialler: Dialler;
  /**
   * Runs `connect` for a session by the service's consumer; with two hops `first` is that of the session with the first exit. What fails before it
   * was open leaves the host as it was before.
   */
  connect(
    options: Pick<ConnectOptions, "backend" | "postQuantum" | "shield" | "hops">,
    connect: (service: ServiceConsumer, first?: ServiceConsumer) => Promise<Connection>,
    meet?: Meet,
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
  let held: string[] = [];
  let through: string[] = [];
  /** with two hops: raises the kill switch, as the connection wants it */
  let secure: (() => Promise<void>) | undefined;
  const client =
    helper &&
    createWireguardClient({
      helper,
      control: () =>
        control.endpoints([...reached, ...held, ...[...dialling].flat(), ...peers().flatMap(({ addresses }) => addresses)], through),
      addressOf: (peer) => placesOf(peers().find((one) => one.peer === peer)?.addresses ?? []).find(({ host }) => isIPv4(host))?.host,
      uid: process.getuid?.() ?? 0,
      clock: deps.clock,
      log,
    });
  const standing = () => client?.state().intent === "secured";
  const release = async () => {
    through = [];
    secure = undefined;
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
    const { disconnect } = connection;
    return Object.assign(connection, {
      ended,
      disconnect: async () => {
        const session = await disconnect();
        // what ended meanwhile against our will was still to end by our will
        await ended.catch(release);
        return session;
      },
    });
  };
  /** Dials with these addresses let through from before anything is sent to them. */
  const letThrough = async <T>(addresses: string[], dial: (network: NonNullable<ReturnType<TunnellingDeps["network"]>>) => Promise<T>) => {
    reached = [];
    dialling.add(addresses);
    try {
      await client?.refresh();
      const network = deps.network();
      if (!network) throw new MystError("NODE_NOT_RUNNING", "the node has not joined the network");
      const made = await dial(network);
      reached = addresses;
      return made;
    } finally {
      dialling.delete(addresses);
    }
  };

  return {
    state: () => client?.state(),
    adopt: async () => {
      await client?.adopt();
    },
    dialler: {
      connect: (peer, addresses, signal) => letThrough(addresses, (network) => network.connect(peer, addresses, signal)),
      redial: (peer, addresses, signal) => letThrough(addresses, (network) => network.redial(peer, addresses, signal)),
      hold: (addresses) => {
        held = addresses;
      },
      through: async (addresses) => {
        through = addresses;
        await secure?.();
        await client?.refresh();
      },
    },
    connect: async ({ backend, postQuantum, shield, hops }, connect, meet) => {
      if (!client) throw needsHelper();
      const before = standing();
      const options = {
        ...(backend !== undefined && { backend }),
        ...(postQuantum !== undefined && { postQuantum }),
        ...(shield && { shield }),
      };
      try {
        if (hops !== 2) return guarded(await connect(client.consumer({ ...options, ...(meet && { meet }) })));
        secure = () => client.secure(options);
        return guarded(await connect(client.consumer(options), client.consumer({ ...options, leg: "first" })));
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
