import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deployNetwork } from "../../../../src/chain/deploy.ts";
import { startAnvil } from "../../../../src/devnet/anvil.ts";
import { giveGas } from "../../../../src/devnet/funding.ts";
import { openIdentity } from "../../../../src/identity/open.ts";
import { networkText } from "../../../../src/lib/network-config.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { MappingView, ServingView } from "../../../../src/node/types.ts";
import { until } from "../../../support/until.ts";
import { type Agent, startAgent } from "../../../tunnel/support/agents.ts";
import { startRouterOf } from "../../../tunnel/support/home-router-of.ts";
import { type Host, openInternet, routerOf } from "../../../tunnel/support/internet.ts";
import { openAccount } from "../../../tunnel/support/market.ts";
import { behind, kindOf, type NatKind } from "../../../tunnel/support/nat.ts";
import { createTunnelNode, type TunnelNode } from "../../../tunnel/support/node-process.ts";
import { startRpcLine } from "../rpc-line.ts";

export type Pair = { consumer: NatKind; exit: NatKind };
/** `way`: how the tunnel came up; none where it did not. `paid`: what a relay was promised, base units. Plain JSON */
export type Met = Pair & {
  way: "direct" | "punched" | "relayed" | "none";
  page: boolean;
  ms: number;
  why?: string;
  paid?: string;
};

/** Where no packet of the one could ever be let in by the NAT of the other: each would have to know a port that is not chosen yet. */
export const canPunch = ({ consumer, exit }: Pair): boolean =>
  ![`${consumer} ${exit}`, `${exit} ${consumer}`].some((pair) => pair === "symmetric symmetric" || pair === "symmetric port-restricted");

export type Grid = AsyncDisposable & {
  /** what a host's NAT is found to be, by its packets */
  kindOf(side: "consumer" | "exit", kind: NatKind): Promise<NatKind>;
  /**
   * Starts a router's UPnP and NAT-PMP before the exit of that kind, which says that its address outside is `outside`, by default the right one, and
   * the exit anew; resolves with what that makes of it. Disposing ends the router's part and the exit.
   */
  mapped(
    kind: NatKind,
    speaks: "pmp" | "upnp",
    outside?: string,
  ): Promise<AsyncDisposable & { serving: ServingView; addresses: string[]; forwards(): string; forgets(): void }>;
  /** Ends the exit that serves. */
  end(): Promise<void>;
  /** Connects, fetches a page and disconnects. `args`: those of `connect` that say what it may cost; default: whatever it does. */
  meet(pair: Pair, args?: string[]): Promise<Met>;
  /** Ends the relays, all but those that still help the network, and what they sell. */
  withoutRelays(): Promise<void>;
};

const relays = ["relay1", "relay2"];
const peerPort = 4480;
/** between the two a price cap makes a consumer do without relays, and not without exits */
const [exitPrice, relayPrice] = ["0.1myst", "0.2myst"];
export const noRelay = ["--max-price-gib", "0.15myst"];

/** Consumers and exits, each behind a NAT of its kind, and two relays between them that are reached by everybody. */
export async function openGrid(consumers: readonly NatKind[], exits: readonly NatKind[]): Promise<Grid> {
  await using undo = new AsyncDisposableStack();
  const directory = "/run/grid";
  mkdirSync(directory);
  const names = [...consumers.map((kind) => `consumer-${kind}`), ...exits.map((kind) => `exit-${kind}`)];
  const hosts = openInternet([...relays, "target", ...names]);
  const hostOf = (name: string) => hosts.get(name) as Host;
  const inner = new Map(
    names.map((name) => [name, behind(hostOf(name), `in-${name}`, name.slice(name.indexOf("-") + 1) as NatKind)] as const),
  );
  const anvil = undo.use(await startAnvil({ log: silentLogger }));
  const line = undo.use(await startRpcLine(anvil.rpc, routerOf(hostOf("relay1"))));
  const network = { ...(await deployNetwork({ rpc: anvil.rpc, name: "grid", log: silentLogger })), rpc: [line.url] };
  const networkFile = join(directory, "network.json");
  await writeFile(networkFile, networkText(network));
  const nodeOf = (name: string, host: Host) => createTunnelNode(host, join(directory, name), networkFile);
  const target = undo.use(await startAgent(hostOf("target")));
  await target.ask({ do: "serve" });

  const peers = new Map<string, string>();
  for (const name of [...relays, ...exits.map((kind) => `exit-${kind}`)]) {
    const { identity } = await openIdentity(join(directory, name));
    peers.set(name, identity.peerId);
    await giveGas(anvil.rpc, identity.address);
  }
  const at = (name: string) => `/ip4/${hostOf(name).address}/tcp/${peerPort}/p2p/${peers.get(name)}`;
  const bootstrap = relays.flatMap((name) => ["--bootstrap", at(name)]);
  const nodes = new Map<string, TunnelNode>();
  undo.defer(async () => void (await Promise.all([...nodes.values()].map((node) => node.stop(3_000)))));
  const common = ["--country", "US", "--price-hour", "0.01myst", "--mdns", "off"];
  const serveAt = async (name: string, host: Host, args: string[]) => {
    const node = nodes.get(name) ?? nodeOf(name, host);
    nodes.set(name, node);
    const listen = ["--listen", `/ip4/${host.address}/tcp/${peerPort}`];
    await node.start(["serve", ...args, ...common, ...listen, ...bootstrap], ({ serving }) => serving !== undefined);
    return node;
  };
  const startRelays = (service: string) =>
    Promise.all(relays.map((name) => serveAt(name, hostOf(name), ["--service", service, "--relay", "offer", "--price-gib", relayPrice])));
  await startRelays("relay");
  const exitHost = (kind: NatKind) => inner.get(`exit-${kind}`) as Host;
  const reached = async (kind: NatKind) => {
    const status = await nodes.get(`exit-${kind}`)?.api.call("status");
    return kind === "none" || (status?.addresses.some((address) => address.includes("/p2p-circuit/")) ?? false);
  };
  let serving: NatKind | undefined;
  /** One exit at a time: ten nodes idle cost what the pairs are to be measured on. */
  const end = async () => {
    if (serving) await nodes.get(`exit-${serving}`)?.stop();
    serving = undefined;
  };
  const serve = async (kind: NatKind) => {
    if (serving === kind) return;
    await end();
    await serveAt(`exit-${kind}`, exitHost(kind), ["--service", "wireguard", "--price-gib", exitPrice]);
    await until(() => reached(kind), 60_000);
    serving = kind;
  };
  for (const kind of consumers) await openAccount(join(directory, `consumer-${kind}`), network, anvil.rpc);

  const users = new Map<string, Agent>();
  const opened = undo.move();
  return {
    kindOf: (side, kind) => kindOf(inner.get(`${side}-${kind}`) as Host, [hostOf("relay1"), hostOf("relay2"), hostOf("target")]),
    meet: async ({ consumer, exit }, args = []) => {
      await serve(exit);
      const name = `consumer-${consumer}`;
      const host = inner.get(name) as Host;
      const node = nodes.get(name) ?? nodeOf(name, host);
      nodes.set(name, node);
      const limits = ["--max-price-hour", "1000myst", "--budget", "100myst", "--mdns", "off"];
      const cap = args.length > 0 ? [] : ["--max-price-gib", "1000myst"];
      const beganMs = performance.now();
      const user = users.get(name) ?? opened.use(await startAgent(host));
      users.set(name, user);
      try {
        const peer = peers.get(`exit-${exit}`) ?? "";
        const status = await node.start(
          ["connect", peer, "--service", "wireguard", ...limits, ...cap, ...bootstrap, ...args],
          ({ tunnel, connection }) => tunnel?.fact === "up" && connection !== undefined,
        );
        const ms = performance.now() - beganMs;
        const { text } = await user.ask({ do: "fetch", host: hostOf("target").address });
        const { sessions } = await node.api.call("sessions");
        const relay = sessions.find(({ service }) => service === "relay");
        const way = (status.connection?.endpoint.way ?? "direct") as Met["way"];
        const page = text === hostOf(`exit-${exit}`).address;
        return { consumer, exit, way, page, ms, ...(relay && { paid: String(relay.promised) }) };
      } catch (error) {
        return { consumer, exit, way: "none", page: false, ms: performance.now() - beganMs, why: String(error) };
      } finally {
        await node.stop();
      }
    },
    mapped: async (kind, speaks, outside) => {
      await end();
      const router = hostOf(`exit-${kind}`);
      const home = await startRouterOf(router, exitHost(kind), { speaks: [speaks], outside: outside ?? router.address });
      const mapping = async (): Promise<MappingView | undefined> => (await nodes.get(`exit-${kind}`)?.api.call("status"))?.serving?.mapping;
      await serve(kind);
      // asked once whether it leads there
      await until(async () => (await mapping())?.state !== "none" || (await mapping())?.why !== "the router is being asked", 30_000);
      await until(async () => !/could be asked yet/.test((await mapping())?.why ?? ""), 30_000);
      const { addresses, serving: view } = await (nodes.get(`exit-${kind}`) as TunnelNode).api.call("status");
      return {
        ...{ serving: view as ServingView, addresses, forwards: home.forwards, forgets: home.forgets },
        [Symbol.asyncDispose]: async () => {
          await end();
          await home[Symbol.asyncDispose]();
        },
      };
    },
    end,
    withoutRelays: async () => {
      await Promise.all(relays.map((name) => nodes.get(name)?.stop()));
      await startRelays("none");
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
