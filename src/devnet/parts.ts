import { join } from "node:path";
import { z } from "zod";
import { type ApiClient, createApiClient } from "../api/client.ts";
import { socketPathOf } from "../api/socket-path.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { DiscoverySource, ExitView, NodeStatus } from "../node/types.ts";
import type { DevnetService, Ground, RouterTraffic, Web } from "./ground.ts";
import type { ExitPlan } from "./plan.ts";
import { type NodeProcess, outputLines, ready, spawnNode } from "./processes.ts";

/** A node of the devnet: a process as anybody would run it, and its socket. */
export type DevnetNode = {
  name: string;
  dataDir: string;
  peer: string;
  address: Hex;
  api: ApiClient;
  process: NodeProcess;
};

export type DevnetExit = DevnetNode & {
  country: string;
  /** undefined where the system gives loopback one address only: its clients then leave from 127.0.0.1 */
  egressAddress: string | undefined;
  perGiB: bigint;
  perHour: bigint;
};

export type DevnetConsumer = DevnetNode & {
  service: DevnetService;
  /** host:port of its SOCKS5 server; undefined where the service carries everything */
  socks: string | undefined;
  /** what carries its tunnel, where it has one */
  backend: string | undefined;
  /** where the web site saw it before it was connected */
  directAddress: string;
  /** as the router had counted when it was connected; undefined where there is no router */
  trafficBefore: RouterTraffic | undefined;
  /** whom it is connected to */
  exit: ExitView;
  /** from its command to the open session */
  connectMs: number;
};

/** What all parts share. */
export type Surroundings = {
  ground: Ground;
  directory: string;
  networkFile: string;
  discovery: DiscoverySource[] | undefined;
  log: Logger;
  signal: AbortSignal;
  /** called in the turn that starts a process */
  onProcess(process: NodeProcess): void;
};

const readyMs = 60_000;

async function start(around: Surroundings, name: string, args: string[]) {
  const { directory, ground, networkFile, discovery, log, signal, onProcess } = around;
  const dataDir = join(directory, name);
  const chosen = discovery?.flatMap((source) => ["--discovery", source]) ?? [];
  // all of it is on this machine
  const common = ["--network", networkFile, "--mdns", "off", "--no-color", "--log-level", "info"];
  const program = [...ground.at(name).enter, ...ground.program];
  const process = await spawnNode({ name, dataDir, args: [...args, ...chosen, ...common], program, log, signal, onProcess });
  return { name, dataDir, process, api: createApiClient({ socket: socketPathOf(dataDir) }) };
}

/** The node, once `isReady` says so of what its socket tells. */
async function whenReady<T extends { process: NodeProcess; api: ApiClient }>(
  part: T,
  isReady: (status: NodeStatus) => boolean,
  signal: AbortSignal,
) {
  const probe = async () => {
    const status = await part.api.call("status", {}, AbortSignal.timeout(5000));
    return isReady(status) ? status : undefined;
  };
  const status = await ready(part.process, probe, readyMs, signal);
  return { ...part, peer: status.peer, address: status.address, status };
}

const listen = ({ ground }: Surroundings, name: string) => ["--listen", `/ip4/${ground.at(name).address}/tcp/0`];

/** A peer that sells nothing, for others to begin with. @throws INTERNAL, PEER_TIMEOUT, INTERRUPTED as `ready` does */
export async function startBootstrap(around: Surroundings): Promise<DevnetNode & { addresses: string[] }> {
  const part = await start(around, "bootstrap", ["serve", "--service", "none", ...listen(around, "bootstrap")]);
  const { status, ...node } = await whenReady(part, ({ addresses }) => addresses.length > 0, around.signal);
  return { ...node, addresses: status.addresses };
}

/** `egress`: the address of its own to go out from, if it has one. */
export async function startExit(
  around: Surroundings,
  plan: ExitPlan,
  { symbol, web, egress }: { symbol: string; web: Web; egress: string | undefined },
): Promise<DevnetExit> {
  const { ground } = around;
  const amount = (text: string) => text + symbol.toLowerCase();
  const prices = ["--price-gib", amount(plan.priceGib), "--price-hour", amount(plan.priceHour)];
  const offer = ["--service", ground.service, "--country", plan.country, ...prices];
  const args = ["serve", ...offer, ...ground.serveArgs(web, egress), ...listen(around, plan.name)];
  const part = await start(around, plan.name, args);
  const { status, ...node } = await whenReady(part, ({ serving }) => serving !== undefined, around.signal);
  const service = status.serving?.services[0];
  if (!service) throw new MystError("INTERNAL", `${plan.name} sells nothing`);
  const { perGiB, perHour } = service;
  return { ...node, country: plan.country, egressAddress: egress, perGiB, perHour };
}

const openStep = z.object({ type: z.literal("step"), step: z.literal("open"), atMs: z.number() });

/** When the connection was open, as `connect --json` prints it. */
function openedAtMs(process: NodeProcess): number | undefined {
  for (const line of outputLines(process)) {
    const step = openStep.safeParse(JSON.parse(line));
    if (step.success) return step.data.atMs;
  }
  return undefined;
}

/** Asks the web site where it is seen, then runs `connect` and waits until it is. */
export async function startConsumer(
  around: Surroundings,
  { country, webUrl }: { country: string; webUrl: string },
): Promise<DevnetConsumer> {
  const { service, visit, router, connectArgs } = around.ground;
  const { caller: directAddress } = await visit("consumer", webUrl, { signal: around.signal });
  const part = await start(around, "consumer", ["connect", "--service", service, "--country", country, ...connectArgs, "--json"]);
  const isOpen = ({ connection }: NodeStatus) => connection !== undefined && openedAtMs(part.process) !== undefined;
  const { status, ...node } = await whenReady(part, isOpen, around.signal);
  const { exits } = await node.api.call("exits", {});
  const exit = exits.find(({ peer }) => peer === status.connection?.peer);
  const socks = status.connection?.endpoint.socks;
  const backend = status.tunnel?.backend;
  if (!exit || (service === "proxy" && socks === undefined))
    throw new MystError("INTERNAL", "the consumer does not say where it is connected to");
  const trafficBefore = await router?.traffic();
  return { ...node, service, backend, socks, directAddress, trafficBefore, exit, connectMs: openedAtMs(part.process) ?? 0 };
}
