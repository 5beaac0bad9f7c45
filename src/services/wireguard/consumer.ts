import type { Clock } from "../../lib/clock.ts";
import { isMystError, MystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import { createTunnelWaiting } from "../counted-waiting.ts";
import type { Opening, ServiceConsumer, ServiceHandle } from "../service.ts";
import { consumerPatience } from "../unanswered.ts";
import { bringUp, hostPort } from "./bring-up.ts";
import { exceptionsOf } from "./exceptions.ts";
import { givesIPv6, readConnection, requestOf } from "./handshake.ts";
import { askInside } from "./inside.ts";
import type { Meet } from "./meeting.ts";
import { needBackend } from "./needs.ts";
import { fitPath } from "./path.ts";
import { firstMtu, withinMtu } from "./path-search.ts";
import { type KeyOffer, offerKey } from "./post-quantum.ts";
import {
  type BackendKind,
  type ClientTunnel,
  closed,
  type Endpoint,
  type Helper,
  type Leg,
  type ShieldOptions,
  type TunnelState,
} from "./types.ts";

export type WireguardClientDeps = {
  helper: Pick<Helper, "probe" | "openClient" | "ended">;
  /** what this node has to reach outside of the tunnel, now */
  control(): Promise<Endpoint[]>;
  /** the IPv4 address at which a connected peer is reached */
  addressOf(peer: string): string | undefined;
  /** user id of this process */
  uid: number;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
};

export type TunnelOptions = {
  backend?: BackendKind;
  /** with a preshared key that ML-KEM-768 has made; default true */
  postQuantum?: boolean;
  /** default: `closed` */
  shield?: ShieldOptions;
  /** finds a way to an exit that has no address of its own */
  meet?: Meet;
  /** of which tunnel; default the `last`, which is the only one where no `first` is open */
  leg?: Leg;
};

/** The client side on this machine. There is one tunnel and one kill switch, whichever sessions come and go under it. */
export type WireguardClient = {
  /** the consumer of one session. @throws BAD_VALUE for an option of the shield that cannot be */
  consumer(options: TunnelOptions): ServiceConsumer;
  state(): TunnelState & { interface?: string; backend?: BackendKind };
  /** Takes over the kill switch that an ended connection has left, so that this node can be reached and reach others. */
  adopt(): Promise<void>;
  /** Raises the kill switch now; else that is done right before an exit is proposed to. */
  secure(options: TunnelOptions): Promise<void>;
  /** What this node has to reach has changed: lets it, where the kill switch stands. */
  refresh(): Promise<void>;
  /** Lifts the kill switch: the host is as it was. */
  release(): Promise<void>;
};

const watchMs = 500;
/** as long as this nothing has come down although something was asked: large packets may not pass any more */
const narrowMs = 2_000;
/** the helper starts a tunnel again that has gone; one that stays away for so long has ended */
const patienceMs = 20_000;

export function createWireguardClient(deps: WireguardClientDeps): WireguardClient {
  const { helper, log } = deps;
  let tunnel: ClientTunnel | undefined;
  let opening: Promise<ClientTunnel> | undefined;
  const onCounters: Record<Leg, () => void> = { first: () => undefined, last: () => undefined };
  /** the largest packet that goes into the first of two tunnels, while there is one */
  let firstTakes: number | undefined;
  let gone: MystError | undefined;
  /** what this machine can do does not change in a node's life */
  let backends: ReturnType<Helper["probe"]> | undefined;
  void helper.ended.then((reason) => {
    gone = new MystError("TUNNEL_FAILED", `the tunnel's helper has ended: ${reason}`, { hint: "see 'mystnode doctor'" });
  });

  const open = async (backend: BackendKind | undefined): Promise<ClientTunnel> => {
    if (gone) throw gone;
    const config = { uid: deps.uid, control: await deps.control(), ...(backend !== undefined && { backend }) };
    const opened = await helper.openClient(config);
    opened.onCounters(() => onCounters.last());
    opened.first.onCounters(() => onCounters.first());
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
  /** With the kill switch up. */
  const secured = async (backend?: BackendKind, shield = closed): Promise<ClientTunnel> => {
    const mine = await opened(backend);
    await mine.secure(shield);
    return mine;
  };

  const openTunnel = async (
    { backend, shield = closed, leg = "last", meet }: TunnelOptions,
    kem: KeyOffer | undefined,
    { peer, connection, signal, onUsage, sessionId, ...session }: Opening,
  ): Promise<ServiceHandle> => {
    const offered = readConnection(connection);
    const most = leg === "last" && firstTakes !== undefined ? withinMtu(firstTakes) : offered.mtu;
    const offer = { ...offered, mtu: Math.min(offered.mtu, most) };
    const address = offer.host ?? deps.addressOf(peer);
    if (address === undefined && !meet)
      throw new MystError("TUNNEL_FAILED", "this exit is not reached at an IPv4 address, and names none for its tunnel", {
        hint: "try another exit: see 'mystnode exits'",
      });
    // an exit that takes no part, or answers what nobody asked, would have us without the key that we count on
    if ((kem === undefined) !== (offer.kem === undefined))
      throw new MystError("MALFORMED", "the exit has not answered the tunnel's key exchange", { hint: "try another exit" });
    const tunnel = await secured(backend, shield);
    const mine = leg === "first" ? tunnel.first : tunnel;
    const isUp = () => (leg === "first" ? tunnel.state().first === "up" : tunnel.state().fact === "up");
    signal.throwIfAborted();
    const between = { sessionId, consumer: mine.publicKey, exit: offer.publicKey };
    const presharedKey = offer.kem && kem?.presharedKey(offer.kem, between);
    // they count all tunnels that this machine has had since the kill switch came up
    const before = mine.counters();
    const searched = async () => {
      session.onSearch?.();
      return meet?.(
        { peer, sessionId, signal },
        {
          counters: mine.counters,
          greet: (greetings) => tunnel.greet({ address: offer.address, dns: offer.dns, mtu: offer.mtu }, greetings),
          up: (to, punch) => bringUp(mine, offer, to, presharedKey, punch),
        },
      );
    };
    const direct = { address: address ?? "", port: offer.port };
    /** The port that an exit has of its router may lead to it no longer: then it is met like one that has none. */
    const straight = async () => {
      if (offer.host === undefined || !meet) return bringUp(mine, offer, direct, presharedKey);
      session.onSearch?.();
      try {
        await bringUp(mine, offer, direct, presharedKey, true);
      } catch (error) {
        if (signal.aborted || !isMystError(error, "PEER_TIMEOUT")) throw error;
        return searched();
      }
    };
    const met = await (address === undefined ? searched() : straight());
    const { address: host, port } = met?.at ?? direct;
    // once there is a tunnel within nothing of ours goes into the first one that could find it out
    const path = await fitPath(mine, { from: offer.address, to: offer.dns, most: offer.mtu, whole: leg === "first" }, log);
    if (leg === "first") firstTakes = path.passes();
    let upMs = deps.clock.nowMs();
    let closing: Promise<bigint> | undefined;
    let closed = false;
    let last = { received: 0n, used: 0n };
    const waiting = createTunnelWaiting(deps, consumerPatience);
    const count = () => {
      if (closed) return last;
      const now = mine.counters();
      const [received, sent] = [now.rxBytes - before.rxBytes, now.txBytes - before.txBytes];
      waiting.look(sent, received);
      return { received, used: received + sent };
    };
    let lost: MystError | undefined;
    void met?.failed?.then((error) => {
      lost = error;
    });
    const watch = setInterval(() => {
      const { fact, problem } = tunnel.state();
      if (isUp()) upMs = deps.clock.nowMs();
      if (leg === "last" && waiting.read().nowMs > narrowMs) path.check();
      const away = deps.clock.nowMs() - upMs > patienceMs;
      const why = gone ?? lost ?? (away ? new MystError("TUNNEL_FAILED", `the tunnel is gone: ${problem ?? fact}`) : undefined);
      if (!why) return;
      clearInterval(watch);
      session.onFailed?.(why);
    }, watchMs);
    const close = async () => {
      clearInterval(watch);
      path.end();
      onCounters[leg] = () => undefined;
      if (leg === "first") firstTakes = undefined;
      // the last counters come with it
      if (!gone) await mine.block("the session is over");
      last = count();
      closed = true;
      await met?.close();
      return last.used;
    };
    const closeOnce = () => {
      closing ??= close();
      return closing;
    };
    onCounters[leg] = () => {
      const now = count();
      if (now.used !== last.used) onUsage(now.used);
      last = now;
    };
    signal.addEventListener("abort", () => void closeOnce().catch(() => undefined), { once: true });
    return {
      usedBytes: () => count().used,
      receivedBytes: () => count().received,
      droppedBytes: () => mine.counters().droppedBytes - before.droppedBytes,
      unanswered: () => {
        count();
        return waiting.read();
      },
      ...(leg === "last" && { inside: (until: AbortSignal) => askInside(offer.dns, until) }),
      get endpoint() {
        return {
          ...(leg === "first" && { hop: "first" }),
          interface: mine.ifname,
          address: offer.address,
          ...(offer.address6 !== undefined && path.passes() >= firstMtu && { address6: offer.address6 }),
          via: hostPort(host, port),
          ...(met && { way: met.how }),
          ...(presharedKey !== undefined && { presharedKey: "ml-kem-768" }),
          ...told(shield),
        };
      },
      close: closeOnce,
    };
  };

  const consumer = (options: TunnelOptions): ServiceConsumer => {
    const { backend, postQuantum = true, shield = closed, leg = "last" } = options;
    exceptionsOf(shield);
    /** of the session that was proposed last: an exit that refuses it leaves its key behind */
    let kem: { sessionId: string; offered: KeyOffer } | undefined;
    return {
      kind: "wireguard",
      check: async () => {
        if (gone) throw gone;
        backends ??= helper.probe();
        needBackend(await backends, backend);
      },
      // the proposal is what makes traffic expected to be inside: from before it nothing goes outside
      request: async (sessionId, policy = "") => {
        const tunnel = await secured(backend, shield);
        const { publicKey } = leg === "first" ? tunnel.first : tunnel;
        // who is connected now may not have been when it came up
        await tunnel.control(await deps.control());
        kem = postQuantum ? { sessionId, offered: offerKey() } : undefined;
        const ipv6 = leg === "last" && givesIPv6(policy);
        return requestOf({ publicKey, ...(kem && { kem: kem.offered.publicKey }), ...(ipv6 && { ipv6 }) });
      },
      open: (session) => openTunnel(options, kem?.sessionId === session.sessionId ? kem.offered : undefined, session),
    };
  };

  return {
    consumer,
    state: () => ({
      ...(tunnel ? tunnel.state() : { intent: "open", fact: "down" }),
      ...(tunnel && { interface: tunnel.ifname, backend: tunnel.backend }),
    }),
    adopt: async () => {
      if ((await helper.probe()).blocked) await secured();
    },
    secure: async ({ backend, shield }) => void (await secured(backend, shield)),
    refresh: async () => {
      if (tunnel && tunnel.state().intent !== "open") await tunnel.control(await deps.control());
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

/** What passes beside the tunnel, for people. */
const told = ({ killSwitch, lan, split, dns }: ShieldOptions): Record<string, string> => ({
  ...(!killSwitch && { killSwitch: "off" }),
  ...((lan || split.length > 0) && { outside: [...(lan ? ["the local network"] : []), ...split].join(", ") }),
  ...(dns !== undefined && { dns }),
});
