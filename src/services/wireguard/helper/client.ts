import { MystError } from "../../../lib/errors.ts";
import { firstMtu } from "../path-search.ts";
import { killSwitchPlan } from "../plan/client.ts";
import { clientMark, throughMark } from "../plan/routes.ts";
import type { Standing, TunnelFacts } from "../plan/standing.ts";
import { closed, type Endpoint, type Greeting, type Leg, type ShieldOptions, type TunnelState, type WgDevice } from "../types.ts";
import { type ClientEvent, initialState, nextState } from "./client-state.ts";
import type { ClientDeps, ClientSettings, Exit, HelperClient } from "./client-types.ts";
import { createLeg } from "./leg.ts";
import { greetingPeer } from "./shaking-hands.ts";
import { watchChanges } from "./watch-changes.ts";

const restartsMax = 5;

const factsOf = ({ endpoint: { address: to, port }, address, address6, dns, mtu }: Exit, pathMtu: number): TunnelFacts => ({
  ...{ exit: { address: to, port }, address, dns, mtu, pathMtu, ...(address6 !== undefined && { address6 }) },
});

/** The client's side: the kill switch first, the tunnels inside of it. Whatever fails leaves the kill switch standing. */
export function openClient(deps: ClientDeps, settings: ClientSettings): HelperClient {
  const { backend, host, log } = deps;
  const { ifname, uid, ipv6 } = settings;
  let { control } = settings;
  let state = initialState;
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
  /** what each tunnel leads to that is open */
  const exits: Partial<Record<Leg, Exit>> = {};
  let firstIsUp = false;
  /** who was greeted by a tunnel that has no exit yet */
  let greeted: Greeting[] | undefined;
  let told = JSON.stringify(initialState);
  let tail: Promise<unknown> = Promise.resolve();

  const tell = () => {
    const now: TunnelState = { ...state, ...(firstIsUp && { first: "up" }) };
    if (JSON.stringify(now) === told) return;
    told = JSON.stringify(now);
    deps.onState(now);
  };
  const note = (event: ClientEvent) => {
    state = nextState(state, event);
    tell();
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = tail.then(work);
    tail = done.catch(() => undefined);
    return done;
  };
  const legOf = (leg: Leg, name: string) =>
    createLeg({ backend, host, log, inTurn, onCounters: (total) => deps.onCounters(leg, total) }, name);
  const legs = { first: legOf("first", settings.first), last: legOf("last", ifname) };

  const protect = async (standing: Standing) => {
    reached = undefined;
    const isNeeded = options.killSwitch || standing.tunnel !== undefined || standing.first !== undefined;
    if (isNeeded) await host.apply(killSwitchPlan({ ifname, uid, control, ipv6, options }, standing));
    else await host.revert();
    applied = standing;
    reached = control;
  };
  const close = async (leg: Leg) => {
    delete exits[leg];
    if (leg === "first") firstIsUp = false;
    else greeted = undefined;
    await legs[leg].close();
  };
  /** The first one takes the one within along. */
  const block = async (leg: Leg, problem: string, to: "blocked" | "down" = "blocked") => {
    await protect({ state: to, first: leg === "last" ? applied.first : undefined });
    await close("last");
    if (leg === "first") await close("first");
    note({ type: "blocked", problem });
  };
  const secured = () => {
    if (state.intent === "open") throw new MystError("INTERNAL", "the kill switch does not stand yet");
  };

  const begin = async (leg: Leg, mtu: number): Promise<WgDevice> => {
    // the way out of an earlier tunnel is closed before a new one is opened
    if (legs[leg].device() || applied.tunnel) await block(leg, "another exit is being opened");
    if (leg === "last") note({ type: "handshaking" });
    return legs[leg].open(mtu, applied.first ? throughMark : clientMark);
  };
  /** What fails leaves nothing but the kill switch. */
  const orBlock = async <T>(leg: Leg, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      await block(leg, (error as Error).message);
      throw error;
    }
  };
  const greet = ({ address, dns, mtu }: Pick<Exit, "address" | "dns" | "mtu">, greetings: Greeting[]) =>
    orBlock("last", async () => {
      const opened = (greeted && legs.last.device()) ?? (await begin("last", mtu));
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

  const up = async (leg: Leg, exit: Exit, pathMtu = Math.min(firstMtu, exit.mtu)) => {
    secured();
    const mine = legs[leg];
    const { first } = applied;
    await orBlock(leg, async () => {
      const opened = (leg === "last" && greeted && mine.device()) || (await begin(leg, exit.mtu));
      exits[leg] = exit;
      addresses.add(exit.address);
      if (exit.address6 !== undefined) addresses.add(exit.address6);
      mine.begin(exit, (reason) => void inTurn(() => recover(leg, exit, reason)));
      const tunnel = factsOf(exit, pathMtu);
      const standing = (facts: TunnelFacts): Standing =>
        leg === "last" ? { state: "handshaking", tunnel: facts, first } : { state: "securing", first: { ...facts, ifname: mine.ifname } };
      // what it says of "up" is the same: WireGuard itself holds back until the exit has answered
      await protect(standing({ ...tunnel, ...(exit.punch && { punching: opened.listenPort }) }));
      for (const { publicKey } of (leg === "last" && greeted) || []) await opened.removePeer(publicKey);
      if (leg === "last") greeted = undefined;
      const from = await mine.meet(exit, async () => {
        if (awaited) await look();
      });
      // where it really came from, and nothing beside that
      if (exit.punch) await protect(standing({ ...tunnel, ...(from && { exit: from }) }));
      mine.follow({ ...exit, ...(from && { endpoint: { ...from, protocol: "udp" } }) });
      if (leg === "first") firstIsUp = true;
      if (leg === "last") note({ type: "up" });
      tell();
    });
  };
  /**
   * A tunnel's process has gone: nothing passes, since its routes lead nowhere. The same tunnel is opened again, and the one within it; that knows
   * only its own exit, so the first one goes before it.
   */
  const recover = async (leg: Leg, exit: Exit, reason: string) => {
    const lost = { ...exits };
    const { tunnel, first } = applied;
    if (lost[leg] !== exit) return;
    for (let attempt = 1; attempt <= restartsMax; attempt += 1) {
      await block(leg, reason);
      log("warn", `${reason}; it is started again`);
      try {
        if (leg === "first" && lost.first) await up("first", lost.first, first?.pathMtu);
        if (lost.last) await up("last", lost.last, tunnel?.pathMtu);
        return;
      } catch (error) {
        log("warn", `start ${attempt} of ${restartsMax} failed: ${(error as Error).message}`);
      }
    }
  };
  const look = async () => {
    awaited = false;
    if (state.intent === "open" || !(options.killSwitch || applied.tunnel || applied.first)) return;
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
    if (state.intent !== "open") await block("first", "the node has ended", "down");
    await forgetAll();
  };
  const fit = async (leg: Leg, pathMtu: number) => {
    const { tunnel, first } = applied;
    const fits = (of: TunnelFacts | undefined) => of !== undefined && pathMtu <= of.mtu && pathMtu !== of.pathMtu;
    if (leg === "first" && first && fits(first)) await protect({ ...applied, first: { ...first, pathMtu } });
    if (leg === "last" && tunnel && fits(tunnel)) await protect({ state: "up", tunnel: { ...tunnel, pathMtu }, first });
  };

  return {
    publicKey: legs.last.publicKey,
    first: { publicKey: legs.first.publicKey },
    backend: backend.kind,
    secure: (wanted) =>
      inTurn(async () => {
        const [before, earlier] = [state.intent, options];
        if (before !== "open" && JSON.stringify(wanted) === JSON.stringify(options)) return;
        const called = ({ killSwitch }: ShieldOptions) => note({ type: "securing", killSwitch });
        options = wanted;
        // nothing is called secured before it is, nor for longer
        if (!wanted.killSwitch) called(wanted);
        try {
          // it looks whether the kill switch stands
          await protect(before === "open" ? { state: "securing" } : applied);
        } catch (error) {
          options = earlier;
          if (before !== "open") called(earlier);
          else {
            await host.revert().catch(() => undefined);
            note({ type: "released" });
          }
          throw error;
        }
        called(wanted);
        if (before === "open") watch = watchChanges(host, soon);
      }),
    greet: (inside, greetings) =>
      inTurn(async () => {
        secured();
        return greet(inside, greetings);
      }),
    up: (leg, exit) => inTurn(() => up(leg, exit)),
    control: (endpoints) =>
      inTurn(async () => {
        control = endpoints;
        if (JSON.stringify(control) === JSON.stringify(reached)) return;
        if (state.intent !== "open") await protect(applied);
      }),
    mtu: (leg, pathMtu) => inTurn(() => fit(leg, pathMtu)),
    block: (leg, reason) =>
      inTurn(async () => {
        secured();
        await block(leg, reason);
      }),
    release: () =>
      inTurn(async () => {
        watch?.end();
        await close("last");
        await close("first");
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
