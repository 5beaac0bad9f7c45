import { MystError } from "../../../lib/errors.ts";
import { makeKeyPair } from "../backend/keys.ts";
import { firstMtu } from "../path-search.ts";
import { killSwitchPlan, type Standing } from "../plan/client.ts";
import { receiveBuffer } from "../plan/host-plan.ts";
import { clientMark } from "../plan/routes.ts";
import { closed, type Endpoint, type Greeting, type WgDevice, type WgKey } from "../types.ts";
import { createClientCounters } from "./client-counters.ts";
import { type ClientEvent, initialState, nextState } from "./client-state.ts";
import type { ClientDeps, ClientSettings, Exit, HelperClient } from "./client-types.ts";
import { onMoves } from "./moving.ts";
import { createPatience, greetingPeer, peerOf, shakeHands } from "./shaking-hands.ts";
import { watchChanges } from "./watch-changes.ts";

const restartsMax = 5;

/** The client's side: the kill switch first, the tunnel inside of it. Whatever fails leaves the kill switch standing. */
export function openClient(deps: ClientDeps, settings: ClientSettings): HelperClient {
  const { backend, host, log } = deps;
  const { privateKey, publicKey } = makeKeyPair();
  const { ifname, uid, ipv6 } = settings;
  let { control } = settings;
  let state = initialState;
  let device: WgDevice | undefined;
  const counters = createClientCounters(backend.kind, (one) => one === device, deps.onCounters);
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
  const closeDevice = async (peer?: WgKey) => {
    const old = device;
    if (old && peer) await counters.read(old, peer).catch(() => undefined);
    device = undefined;
    greeted = undefined;
    await old?.close().catch((error) => log("warn", `the interface stays: ${(error as Error).message}`));
  };
  let peer: WgKey | undefined;
  /** who was greeted by a tunnel that has no exit yet */
  let greeted: Greeting[] | undefined;

  const block = async (problem: string, state: "blocked" | "down" = "blocked") => {
    await protect({ state });
    await closeDevice(peer);
    note({ type: "blocked", problem });
  };
  const secured = () => {
    if (state.intent === "open") throw new MystError("INTERNAL", "the kill switch does not stand yet");
  };

  const begin = async (mtu: number): Promise<WgDevice> => {
    // the way out of an earlier tunnel is closed before a new one is opened
    if (device || applied.tunnel) await block("another exit is being opened");
    note({ type: "handshaking" });
    device = await backend.open({
      ...{ ifname, privateKey, fwmark: clientMark, mtu },
      whileBinding: (work) => host.raising(ifname, receiveBuffer, work),
    });
    return device;
  };
  /** What fails leaves nothing but the kill switch. */
  const orBlock = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      await block((error as Error).message);
      throw error;
    }
  };
  const greet = ({ address, dns, mtu }: Pick<Exit, "address" | "dns" | "mtu">, greetings: Greeting[]) =>
    orBlock(async () => {
      const opened = (greeted && device) ?? (await begin(mtu));
      const [first, ...also] = greetings.map(({ endpoint }) => endpoint);
      if (!first) throw new MystError("INTERNAL", "there is nobody to greet");
      const tunnel = { exit: first, also, address, dns, mtu, pathMtu: firstMtu };
      if (JSON.stringify(tunnel) !== JSON.stringify(applied.tunnel)) await protect({ state: "handshaking", tunnel });
      for (const { publicKey } of greeted ?? []) await opened.removePeer(publicKey);
      greeted = [];
      for (const greeting of greetings) {
        greeted.push(greeting);
        await opened.addPeer(greetingPeer(greeting));
      }
      return { listenPort: opened.listenPort };
    });

  const up = async (exit: Exit, pathMtu = Math.min(firstMtu, exit.mtu)) => {
    secured();
    const { publicKey, endpoint, address, dns, mtu, punch = false } = exit;
    await orBlock(async () => {
      const opened = (greeted && device) ?? (await begin(mtu));
      addresses.add(address);
      peer = publicKey;
      counters.begin(opened, mtu);
      opened.onExit((reason) => {
        if (opened === device) void inTurn(() => recover(opened, exit, reason));
      });
      const tunnel = { exit: { address: endpoint.address, port: endpoint.port }, address, dns, mtu, pathMtu };
      // what it says of "up" is the same: WireGuard itself holds back until the exit has answered
      await protect({ state: "handshaking", tunnel: { ...tunnel, ...(punch && { punching: opened.listenPort }) } });
      for (const one of greeted ?? []) await opened.removePeer(one.publicKey);
      greeted = undefined;
      await opened.addPeer(peerOf(exit));
      const since = counters.handshakeMs();
      const mayGoOn = createPatience();
      await shakeHands(
        {
          done: () => counters.handshakeMs() > since,
          isGone: () => opened !== device,
          read: async () => {
            if (awaited) await look();
            await counters.read(opened, publicKey);
          },
          again: async () => {
            if (!mayGoOn((await opened.stats()).get(publicKey)?.rxBytes ?? 0n)) return;
            await opened.removePeer(publicKey);
            counters.again();
            await opened.addPeer(peerOf(exit));
          },
        },
        punch,
      );
      // where it really came from, and nothing beside that
      const from = punch ? (await opened.stats()).get(publicKey)?.endpoint : undefined;
      if (punch) await protect({ state: "handshaking", tunnel: { ...tunnel, ...(from && { exit: from }) } });
      void counters.keepReading(opened, publicKey);
      void onMoves(
        () => opened === device,
        () => inTurn(() => sendAnew(opened, { ...exit, ...(from && { endpoint: { ...from, protocol: "udp" } }) })),
      );
      note({ type: "up" });
    });
  };
  /**
   * wireguard-go goes on sending from the address that it was last reached at; once that is gone nothing leaves for 15 s, until it shakes hands
   * anew. A peer that is told where its exit is sends from where this machine is, and a keepalive that is switched on goes out at once: the exit
   * answers to where that came from.
   */
  const sendAnew = async (from: WgDevice, exit: Exit) => {
    if (from !== device) return;
    await from.addPeer(peerOf(exit, 0));
    await from.addPeer(peerOf(exit));
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
    greet: (inside, greetings) =>
      inTurn(async () => {
        secured();
        return greet(inside, greetings);
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
