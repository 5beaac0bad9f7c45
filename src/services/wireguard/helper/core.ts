import { randomBytes } from "node:crypto";
import { isIPv6 } from "node:net";
import { MystError } from "../../../lib/errors.ts";
import { parsePolicy } from "../../policy.ts";
import { allBackends } from "../backend/choose.ts";
import { runTool } from "../backend/run-tool.ts";
import { hasIpv6, hostFacts } from "../host/facts.ts";
import type { HostNet } from "../host/host-net.ts";
import { killSwitchPlan } from "../plan/client.ts";
import { exitPlan } from "../plan/exit.ts";
import { exitTable } from "../plan/host-plan.ts";
import { choosePool, poolAddresses, poolOf } from "../plan/pool.ts";
import { prefixOf } from "../plan/pool6.ts";
import { type BackendKind, closed, dnsPort, type PeerStats, pathPort, type WgBackend, type WgKey } from "../types.ts";
import { openClient } from "./client.ts";
import type { HelperClient } from "./client-types.ts";
import { type HelperExit, openExit } from "./exit.ts";
import { freeIfname, mayConfigure, privilegeNeeded } from "./facts.ts";
import { hostPort } from "./host-port.ts";
import { createNftSession } from "./nft-session.ts";
import { probe } from "./probe.ts";
import { type Asked, batchMax, type Note, type Request } from "./protocol.ts";
import { beSole } from "./sole.ts";

export type CoreDeps = {
  host: HostNet;
  send(note: Note): void;
  /** counters only: they wait while the node does not read */
  sendCounters(changed: Map<WgKey, PeerStats>): void;
  /** everything has been put back, or is to stay: the process can end */
  end(reason: string): void;
};

export type Core = {
  ask(request: Asked): Promise<unknown>;
  credit(request: Extract<Request, { op: "credit" }>): void;
  /** The node has ended or does not answer. What was paid for is still carried, at most for `lingerMs`; then everything goes. */
  nodeGone(reason: string): Promise<void>;
};

const lingerMs = 30_000;
const lookMs = 100;

/** The helper's requests, and what becomes of exit and client when nobody sends any more. */
export function createCore(deps: CoreDeps): Core {
  const { send } = deps;
  const host = hostPort(deps.host);
  let exit: HelperExit | undefined;
  let client: HelperClient | undefined;
  let gone: string | undefined;
  let hurry = false;
  const soles = new Map<"exit" | "client", () => void>();

  const log = (level: "info" | "warn", message: string) => send({ event: "log", level, message });
  const sole = async (what: "exit" | "client") => {
    soles.set(
      what,
      await beSole(what, () => {
        hurry = gone !== undefined;
      }),
    );
  };
  const unsole = (what: "exit" | "client") => {
    soles.get(what)?.();
    soles.delete(what);
  };
  /** kinds that have been found to work: one that is no longer there says so when it is opened */
  const working = new Set<BackendKind>();
  const look = async () => {
    const found = await probe(client !== undefined);
    for (const { kind, ok } of found.backends) if (ok) working.add(kind);
    return found;
  };
  const theExit = (): HelperExit => exit ?? fail("no exit is open");
  const theClient = (): HelperClient => client ?? fail("no client is open");

  const openTheExit = async ({ config }: Extract<Asked, { op: "openExit" }>) => {
    if (!mayConfigure()) throw privilegeNeeded("an exit");
    if (exit) fail("an exit is open already");
    await sole("exit");
    try {
      await host.reconcile("exit");
      const backend = await choose(working, config.backend);
      const ifname = await freeIfname("mystn");
      const { own, networks, forwardDrops, egress6, ...found } = await hostFacts();
      const egressIf = config.egressIf ?? found.egressIf ?? noWayOut();
      for (const chain of forwardDrops) log("warn", `the firewall's chain ${chain} drops what is forwarded; let ${ifname} pass there`);
      const pool = poolOf(choosePool(networks));
      const { mtu, egressAddress, speed, flowLimit } = config;
      const policy = parsePolicy(config);
      const ipv6 = config.ipv6 ? { ...(egress6 ?? noWayOut6()), prefix: prefixOf(randomBytes(7)) } : undefined;
      const facts = {
        ...{ ifname, pool: pool.cidr, mtu, egressIf, dnsPort, pathPort, own, ...policy },
        ...(egressAddress && { egressAddress }),
        ...(speed && { speed }),
        ...(flowLimit && { flowLimit }),
        ...(ipv6 && { ipv6 }),
      };
      exit = await openExit(
        {
          backend,
          host: host.of("exit"),
          nft: createNftSession(exitTable),
          forget,
          nowMs: () => performance.now(),
          log,
          onCounters: deps.sendCounters,
          onGone: (reason) => void giveUp(reason),
        },
        {
          ...{ ifname, listenPort: config.listenPort, mtu, addresses: poolAddresses(pool), plan: exitPlan(facts) },
          ...(ipv6 && { prefix6: ipv6.prefix }),
        },
      );
      const { publicKey, listenPort } = exit;
      return { publicKey, listenPort, backend: backend.kind, ifname, egressIf, gateway: pool.gateway, mtu };
    } catch (error) {
      unsole("exit");
      throw error;
    }
  };
  const closeTheExit = async () => {
    const open = exit;
    exit = undefined;
    await open?.close();
    unsole("exit");
  };
  const openTheClient = async ({ config }: Extract<Asked, { op: "openClient" }>) => {
    if (!mayConfigure()) throw privilegeNeeded("a tunnel");
    if (client) fail("a client is open already");
    await sole("client");
    try {
      const backend = await choose(working, config.backend);
      const [ifname, first] = [await freeIfname("mystc"), await freeIfname("mystf")];
      const { uid, control } = config;
      client = openClient(
        {
          backend,
          host: host.of("client"),
          forget,
          log,
          onState: (state) => send({ event: "clientState", state }),
          onCounters: (leg, { rxBytes, txBytes, handshakeMs, droppedBytes }) =>
            send({
              ...{ event: "clientCounters", leg },
              ...{ rx: String(rxBytes), tx: String(txBytes), dropped: String(droppedBytes), handshakeMs },
            }),
        },
        { ifname, first, uid, control, ipv6: hasIpv6() },
      );
      return { publicKey: client.publicKey, backend: backend.kind, ifname, first: { ...client.first, ifname: first } };
    } catch (error) {
      unsole("client");
      throw error;
    }
  };
  const leaveTheClient = async () => {
    const open = client;
    client = undefined;
    await open?.leave();
    unsole("client");
  };
  /** What is done to a host on which nothing of ours runs. */
  const alone = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    if (!mayConfigure()) throw privilegeNeeded(what);
    if (exit || client) fail("a tunnel of this node is open");
    await sole("exit");
    await sole("client");
    try {
      return await work();
    } finally {
      unsole("exit");
      unsole("client");
    }
  };
  const closeAll = async () => {
    const ended = await Promise.allSettled([leaveTheClient(), closeTheExit()]);
    for (const one of ended) if (one.status === "rejected") log("warn", `not all was put back: ${(one.reason as Error).message}`);
  };
  const giveUp = async (reason: string) => {
    await closeAll();
    deps.end(reason);
  };

  return {
    ask: async (request) => {
      switch (request.op) {
        case "probe":
          return look();
        case "cleanup":
          return alone("cleaning up", host.cleanup);
        case "blockAll":
          return alone("blocking", () => {
            const facts = { ifname: "mystc0", uid: 0, control: [], ipv6: hasIpv6(), options: { ...closed, lan: request.lan } };
            return host.of("client").apply(killSwitchPlan(facts, { state: "down" }));
          });
        case "stop":
          return closeAll();
        case "openExit":
          return openTheExit(request);
        case "admit":
          return theExit().admit(request);
        case "dismiss": {
          const { rxBytes, txBytes, handshakeMs } = await theExit().dismiss(request.publicKey);
          return { rx: String(rxBytes), tx: String(txBytes), handshakeMs };
        }
        case "greetFromExit":
          return theExit().greet(request.greeting);
        case "reach":
          return theExit().reach(request.publicKey, request.place);
        case "closeExit":
          return closeTheExit();
        case "openClient":
          return openTheClient(request);
        case "secure":
          return theClient().secure(request.options);
        case "greet":
          return theClient().greet(request.inside, request.greetings);
        case "up":
          return theClient().up(request.leg, request.exit);
        case "control":
          return theClient().control(request.endpoints);
        case "mtu":
          return theClient().mtu(request.leg, request.mtu);
        case "block":
          return theClient().block(request.leg, request.reason);
        case "release": {
          await theClient().release();
          client = undefined;
          return unsole("client");
        }
      }
    },
    credit: ({ credits }) => exit?.credit(credits.map(([key, bytes, forMs]) => [key, { totalBytes: BigInt(bytes), forMs }])),
    nodeGone: async (reason) => {
      if (gone !== undefined) return;
      gone = reason;
      await leaveTheClient().catch((error) => log("warn", (error as Error).message));
      const end = performance.now() + lingerMs;
      while (!hurry && exit?.anyLive() && performance.now() < end) await new Promise((done) => setTimeout(done, lookMs));
      await giveUp(reason);
    },
  };
}

function noWayOut(): never {
  throw new MystError("TUNNEL_FAILED", "this host has no default route, so clients' traffic has no way out", {
    hint: "name the interface with --egress-if",
  });
}

function noWayOut6(): never {
  throw new MystError("TUNNEL_FAILED", "this host has no way out for IPv6: no default route, or no public address by it", {
    hint: "leave out --ipv6; 'ip -6 route show default' and 'ip -6 addr show scope global' say what there is",
  });
}

function fail(message: string): never {
  throw new MystError("INTERNAL", message);
}

/** The best one that works, or the one wanted; those in `working` are not tried once more. */
async function choose(working: Set<BackendKind>, wanted?: BackendKind): Promise<WgBackend> {
  const candidates = allBackends().filter(({ kind }) => wanted === undefined || kind === wanted);
  const known = candidates.find(({ kind }) => working.has(kind));
  if (known) return known;
  const reasons: string[] = [];
  for (const backend of candidates) {
    const { ok, reason } = await backend.probe();
    if (ok) {
      working.add(backend.kind);
      return backend;
    }
    reasons.push(`${backend.kind}: ${reason}`);
  }
  throw new MystError("TOOL_MISSING", `nothing here carries WireGuard (${reasons.join("; ")})`, {
    hint: "install wireguard-go, or a kernel with WireGuard and wireguard-tools",
  });
}

const forget = async (addresses: string[]): Promise<void> => {
  // one process for all; from and to each of them
  const lines = addresses.flatMap((address) => {
    const family = isIPv6(address) ? "-f ipv6 " : "";
    return [`-D ${family}--orig-src ${address}\n`, `-D ${family}--reply-src ${address}\n`];
  });
  await runTool("conntrack", ["-R", "-"], { input: lines.join(""), byName: true });
};

export const inBatches = <T>(list: T[]): T[][] =>
  Array.from({ length: Math.ceil(list.length / batchMax) }, (_, i) => list.slice(i * batchMax, (i + 1) * batchMax));
