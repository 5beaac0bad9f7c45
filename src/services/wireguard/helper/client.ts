import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../../../lib/errors.ts";
import { makeKeyPair } from "../backend/keys.ts";
import { firstMtu } from "../path-search.ts";
import { killSwitchPlan, type Standing } from "../plan/client.ts";
import { receiveBuffer } from "../plan/host-plan.ts";
import { clientMark } from "../plan/routes.ts";
import {
  type BackendKind,
  type ClientCounters,
  closed,
  type Endpoint,
  type ShieldOptions,
  type TunnelState,
  type WgBackend,
  type WgDevice,
  type WgKey,
  type WgPeer,
} from "../types.ts";
import { type Account, bytesOf, counted, newAccount, restarted } from "./account.ts";
import { type ClientEvent, initialState, nextState } from "./client-state.ts";
import type { HostPort } from "./host-port.ts";
import { onMoves } from "./moving.ts";
import { createPace } from "./pace.ts";
import { type SocketDrops, socketDrops } from "./socket-drops.ts";
import { watchChanges } from "./watch-changes.ts";

export type ClientDeps = {
  backend: WgBackend;
  host: HostPort;
  /** makes the firewall forget the connections of these addresses */
  forget(addresses: string[]): Promise<void>;
  log(level: "info" | "warn", message: string): void;
  onState(state: TunnelState): void;
  onCounters(total: ClientCounters): void;
};

export type ClientSettings = { ifname: string; uid: number; control: Endpoint[]; ipv6: boolean };
export type Exit = { publicKey: WgKey; presharedKey?: WgKey; endpoint: Endpoint; address: string; dns: string; mtu: number };

export type HelperClient = {
  publicKey: WgKey;
  backend: BackendKind;
  secure(options: ShieldOptions): Promise<void>;
  up(exit: Exit): Promise<void>;
  control(endpoints: Endpoint[]): Promise<void>;
  mtu(mtu: number): Promise<void>;
  block(reason: string): Promise<void>;
  release(): Promise<void>;
  /** The tunnel goes; a kill switch that stands stays, without anybody to look after it. */
  leave(): Promise<void>;
};

const handshakeMs = 10_000;
const restartsMax = 5;
/** less than what NAT on the way forgets after */
const keepaliveS = 25;

const peerOf = ({ publicKey, presharedKey, endpoint }: Exit, keepalive: number): WgPeer => ({
  ...{ publicKey, endpoint, allowedIps: ["0.0.0.0/0"], keepaliveS: keepalive },
  ...(presharedKey && { presharedKey }),
});

/** The client's side: the kill switch first, the tunnel inside of it. Whatever fails leaves the kill switch standing. */
export function openClient(deps: ClientDeps, settings: ClientSettings): HelperClient {
  const { backend, host, log } = deps;
  const { privateKey, publicKey } = makeKeyPair();
  const { ifname, uid, ipv6 } = settings;
  let { control } = settings;
  let state = initialState;
  let account: Account = newAccount;
  let dropped = 0n;
  let device: WgDevice | undefined;
  /** what the routes and rules are made for at the moment */
  let applied: Standing = { state: "down" };
  let options = closed;
  /** what the kill switch lets be reached at the moment */
  let reached: Endpoint[] | undefined;
  let watch: { end(): void } | undefined;
  /** the kernel has told of a change, or it is time to look */
  let awaited = false;
  /** its own in the tunnels that there were: what is remembered of their connections would stay for days */
  const addresses = new Set<string>();
  let tail: Promise<unknown> = Promise.resolve();

  const note = (event: ClientEvent) => {
    const next = nextState(state, event);
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    deps.onState(state);
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = tail.then(work);
    tail = done.catch(() => undefined);
    return done;
  };
  const protect = async (standing: Standing) => {
    reached = undefined;
    if (options.killSwitch || standing.tunnel) await host.apply(killSwitchPlan({ ifname, uid, control, ipv6, options }, standing));
    else await host.revert();
    applied = standing;
    reached = control;
  };
  const read = async (from: WgDevice, key: WgKey, quick = false) => {
    const now = (await from.stats(quick)).get(key);
    if (!now || from !== device) return;
    const before = account.total;
    account = counted(account, now);
    const { total } = account;
    if (total.rxBytes === before.rxBytes && total.txBytes === before.txBytes && total.handshakeMs === before.handshakeMs) return;
    dropped += drops.more();
    deps.onCounters({ ...total, droppedBytes: dropped });
  };
  const keepReading = async (from: WgDevice, key: WgKey) => {
    const nextLookMs = createPace(backend.kind);
    while (from === device) {
      const before = bytesOf(account);
      await read(from, key, true).catch(() => undefined);
      await wait(nextLookMs(bytesOf(account) - before, performance.now()));
    }
  };
  const closeDevice = async (peer?: WgKey) => {
    const old = device;
    if (old && peer) await read(old, peer).catch(() => undefined);
    device = undefined;
    await old?.close().catch((error) => log("warn", `the interface stays: ${(error as Error).message}`));
  };
  let peer: WgKey | undefined;
  let drops: SocketDrops = { more: () => 0n };

  const block = async (problem: string, state: "blocked" | "down" = "blocked") => {
    await protect({ state });
    await closeDevice(peer);
    note({ type: "blocked", problem });
  };
  const secured = () => {
    if (state.intent === "open") throw new MystError("INTERNAL", "the kill switch does not stand yet");
  };

  const up = async (exit: Exit, pathMtu = Math.min(firstMtu, exit.mtu)) => {
    secured();
    const { endpoint, address, dns, mtu } = exit;
    // the way out of an earlier tunnel is closed before a new one is opened
    if (device || applied.tunnel) await block("another exit is being opened");
    note({ type: "handshaking" });
    try {
      const opened = await backend.open({
        ...{ ifname, privateKey, fwmark: clientMark, mtu },
        whileBinding: (work) => host.raising(ifname, receiveBuffer, work),
      });
      device = opened;
      addresses.add(address);
      peer = exit.publicKey;
      account = restarted(account);
      drops = socketDrops(opened.listenPort, mtu);
      opened.onExit((reason) => {
        if (opened === device) void inTurn(() => recover(opened, exit, reason));
      });
      // what it says of "up" is the same: WireGuard itself holds back until the exit has answered
      await protect({
        state: "handshaking",
        tunnel: { exit: { address: endpoint.address, port: endpoint.port }, address, dns, mtu, pathMtu },
      });
      // a keepalive is also what makes it shake hands now, not with the first packet
      await opened.addPeer(peerOf(exit, keepaliveS));
      await firstHandshake(opened, exit.publicKey);
      void keepReading(opened, exit.publicKey);
      void onMoves(
        () => opened === device,
        () => inTurn(() => sendAnew(opened, exit)),
      );
      note({ type: "up" });
    } catch (error) {
      await block((error as Error).message);
      throw error;
    }
  };
  const firstHandshake = async (opened: WgDevice, key: WgKey) => {
    const end = performance.now() + handshakeMs;
    const since = account.total.handshakeMs;
    while (account.total.handshakeMs <= since) {
      if (awaited) await look();
      if (opened !== device) throw new MystError("TUNNEL_FAILED", "the tunnel went before it was up");
      if (performance.now() > end)
        throw new MystError("PEER_TIMEOUT", `the exit did not answer WireGuard's handshake within ${handshakeMs / 1000} s`, {
          hint: "a firewall between the two may drop UDP; try another exit, or --service proxy",
        });
      await wait(4);
      await read(opened, key);
    }
  };
  /**
   * wireguard-go goes on sending from the address that it was last reached at; once that is gone nothing leaves for 15 s, until it shakes hands
   * anew. A peer that is told where its exit is sends from where this machine is, and a keepalive that is switched on goes out at once: the exit
   * answers to where that came from.
   */
  const sendAnew = async (from: WgDevice, exit: Exit) => {
    if (from !== device) return;
    await from.addPeer(peerOf(exit, 0));
    await from.addPeer(peerOf(exit, keepaliveS));
    log("info", "an address of this machine has changed: the tunnel sends from where it is now");
  };
  /** Its process has gone: nothing passes, since its routes lead nowhere. The same tunnel is opened again. */
  const recover = async (gone: WgDevice, exit: Exit, reason: string) => {
    const pathMtu = applied.tunnel?.pathMtu;
    for (let attempt = 1; attempt <= restartsMax && (attempt > 1 || gone === device); attempt += 1) {
      await block(reason);
      log("warn", `${reason}; it is started again`);
      try {
        return await up(exit, pathMtu);
      } catch (error) {
        log("warn", `start ${attempt} of ${restartsMax} failed: ${(error as Error).message}`);
      }
    }
  };
  const look = async () => {
    awaited = false;
    if (state.intent === "open" || !(options.killSwitch || applied.tunnel)) return;
    try {
      const problems = await host.verify();
      if (problems.length > 0) {
        log("warn", `changed by somebody else and put up again: ${problems.join("; ")}`);
        await protect(applied);
      }
      note({ type: "protected" });
    } catch (error) {
      note({ type: "unprotected", problem: (error as Error).message });
    }
  };
  /** One look for all changes that come together. */
  const soon = () => {
    if (awaited) return;
    awaited = true;
    void inTurn(async () => {
      if (awaited) await look();
    });
  };
  const forgetAll = async () => {
    const old = [...addresses];
    addresses.clear();
    if (old.length > 0) await deps.forget(old).catch((error) => log("warn", `old connections are not forgotten: ${error.message}`));
  };
  const leave = async () => {
    watch?.end();
    if (state.intent !== "open") await block("the node has ended", "down");
    await forgetAll();
  };

  return {
    publicKey,
    backend: backend.kind,
    secure: (wanted) =>
      inTurn(async () => {
        const before = state.intent;
        if (before !== "open" && JSON.stringify(wanted) === JSON.stringify(options)) return;
        options = wanted;
        note({ type: "securing", killSwitch: wanted.killSwitch });
        if (before !== "open") return protect(applied);
        try {
          // it looks whether the kill switch stands
          await protect({ state: "securing" });
        } catch (error) {
          await host.revert().catch(() => undefined);
          note({ type: "released" });
          throw error;
        }
        watch = watchChanges(host, soon);
      }),
    up: (exit) => inTurn(() => up(exit)),
    control: (endpoints) =>
      inTurn(async () => {
        control = endpoints;
        if (JSON.stringify(control) === JSON.stringify(reached)) return;
        if (state.intent !== "open") await protect(applied);
      }),
    mtu: (pathMtu) =>
      inTurn(async () => {
        const { tunnel } = applied;
        if (tunnel && pathMtu <= tunnel.mtu && pathMtu !== tunnel.pathMtu) await protect({ state: "up", tunnel: { ...tunnel, pathMtu } });
      }),
    block: (reason) =>
      inTurn(async () => {
        secured();
        await block(reason);
      }),
    release: () =>
      inTurn(async () => {
        watch?.end();
        await closeDevice(peer);
        if (state.intent !== "open") await host.revert();
        applied = { state: "down" };
        reached = undefined;
        note({ type: "released" });
        // nobody has to wait for it
        void forgetAll();
      }),
    leave: () => inTurn(leave),
  };
}
