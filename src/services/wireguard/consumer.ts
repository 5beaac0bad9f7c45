import type { Clock } from "../../lib/clock.ts";
import { asMystError, isMystError, MystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import type { Opening, ServiceConsumer, ServiceHandle } from "../service.ts";
import { consumerPatience } from "../unanswered.ts";
import { readConnection, requestOf, type TunnelOffer } from "./handshake.ts";
import { needBackend } from "./needs.ts";
import type { BackendKind, ClientTunnel, Endpoint, Helper, TunnelState } from "./types.ts";
import { createTunnelWaiting } from "./waiting.ts";

export type WireguardClientDeps = {
  helper: Pick<Helper, "probe" | "openClient" | "ended">;
  /** what this node has to reach outside of the tunnel, now */
  control(): Promise<Endpoint[]>;
  /** the IP address at which a connected peer is reached */
  addressOf(peer: string): string | undefined;
  /** user id of this process */
  uid: number;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
};

/** The client side on this machine. There is one tunnel and one kill switch, whichever sessions come and go under it. */
export type WireguardClient = {
  /** the consumer of one session */
  consumer(options: { backend?: BackendKind }): ServiceConsumer;
  state(): TunnelState & { interface?: string; backend?: BackendKind };
  /** Takes over the kill switch that an ended connection has left, so that this node can be reached and reach others. */
  adopt(): Promise<void>;
  /** Lets this node reach these on top, while the kill switch stands. */
  reach(endpoints: Endpoint[]): Promise<void>;
  /** Lifts the kill switch: the host is as it was. */
  release(): Promise<void>;
};

/** a tunnel that is gone is noticed within this */
const watchMs = 500;

export function createWireguardClient(deps: WireguardClientDeps): WireguardClient {
  const { helper, log } = deps;
  let tunnel: ClientTunnel | undefined;
  let opening: Promise<ClientTunnel> | undefined;
  let onCounters: () => void = () => undefined;
  let gone: MystError | undefined;
  void helper.ended.then((reason) => {
    gone = new MystError("TUNNEL_FAILED", `the tunnel's helper has ended: ${reason}`, { hint: "see 'mystnode doctor'" });
  });

  const open = async (backend: BackendKind | undefined): Promise<ClientTunnel> => {
    if (gone) throw gone;
    const config = { uid: deps.uid, control: await deps.control(), ...(backend !== undefined && { backend }) };
    const opened = await helper.openClient(config);
    opened.onCounters(() => onCounters());
    tunnel = opened;
    return opened;
  };
  const opened = (backend?: BackendKind) => {
    opening ??= open(backend).catch((error) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  const secured = async (backend?: BackendKind): Promise<ClientTunnel> => {
    const mine = await opened(backend);
    if (mine.state().intent === "secured") await mine.control(await deps.control());
    else await mine.secure();
    return mine;
  };

  const up = async (mine: ClientTunnel, offer: TunnelOffer, address: string): Promise<void> => {
    const { publicKey, port, address: own, dns, mtu } = offer;
    try {
      await mine.up({ publicKey, endpoint: { address, port, protocol: "udp" }, address: own, dns, mtu });
    } catch (error) {
      const { message, code } = asMystError(error);
      if (code !== "PEER_TIMEOUT") throw error;
      throw new MystError("TUNNEL_FAILED", `the exit's tunnel did not answer at ${hostPort(address, port)}: ${message}`, {
        hint: "UDP may be blocked on the way: try another exit, or --service proxy",
        cause: error,
      });
    }
  };

  const openTunnel = async (
    backend: BackendKind | undefined,
    { peer, connection, signal, onUsage, ...session }: Opening,
  ): Promise<ServiceHandle> => {
    const offer = readConnection(connection);
    const address = offer.host ?? deps.addressOf(peer);
    if (address === undefined)
      throw new MystError("TUNNEL_FAILED", "the exit says no address for its tunnel, and it is reached by none", {
        hint: "try another exit: see 'mystnode exits'",
      });
    const mine = await secured(backend);
    signal.throwIfAborted();
    await up(mine, offer, address);
    let closing: Promise<bigint> | undefined;
    let last = { received: 0n, used: 0n };
    const waiting = createTunnelWaiting(deps, consumerPatience);
    const count = () => {
      if (closing) return last;
      const { rxBytes, txBytes } = mine.counters();
      waiting.look(txBytes, rxBytes);
      return { received: rxBytes, used: rxBytes + txBytes };
    };
    const watch = setInterval(() => {
      const { fact, problem } = mine.state();
      const why = gone ?? (fact === "up" ? undefined : new MystError("TUNNEL_FAILED", `the tunnel is gone: ${problem ?? fact}`));
      if (!why) return;
      clearInterval(watch);
      session.onFailed?.(why);
    }, watchMs);
    const close = async () => {
      clearInterval(watch);
      onCounters = () => undefined;
      if (!gone) await mine.block("the session is over");
      return last.used;
    };
    const closeOnce = () => {
      last = count();
      closing ??= close();
      return closing;
    };
    onCounters = () => {
      const now = count();
      if (now.used !== last.used) onUsage(now.used);
      last = now;
    };
    signal.addEventListener("abort", () => void closeOnce().catch(() => undefined), { once: true });
    return {
      usedBytes: () => count().used,
      receivedBytes: () => count().received,
      unanswered: () => {
        count();
        return waiting.read();
      },
      endpoint: { interface: mine.ifname, address: offer.address, via: hostPort(address, offer.port) },
      close: closeOnce,
    };
  };

  const consumer = ({ backend }: { backend?: BackendKind }): ServiceConsumer => ({
    kind: "wireguard",
    check: async () => {
      if (gone) throw gone;
      needBackend(await helper.probe(), backend);
    },
    // the proposal is what makes traffic expected to be inside: from before it nothing goes outside
    request: async () => requestOf((await secured(backend)).publicKey),
    open: (session) => openTunnel(backend, session),
  });

  return {
    consumer,
    state: () => ({
      ...(tunnel ? tunnel.state() : { intent: "open", fact: "down" }),
      ...(tunnel && { interface: tunnel.ifname, backend: tunnel.backend }),
    }),
    adopt: async () => {
      if ((await helper.probe()).blocked) await secured();
    },
    reach: async (endpoints) => {
      if (tunnel?.state().intent !== "secured") return;
      await tunnel.control([...(await deps.control()), ...endpoints]);
    },
    release: async () => {
      const mine = tunnel;
      tunnel = undefined;
      opening = undefined;
      await mine?.release().catch((error) => {
        if (!isMystError(error)) throw error;
        log.error("the kill switch could not be lifted", { code: error.code });
        throw error;
      });
    },
  };
}

const hostPort = (address: string, port: number): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
