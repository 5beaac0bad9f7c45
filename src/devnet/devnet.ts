import { existsSync, mkdirSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { deployNetwork } from "../chain/deploy.ts";
import type { Identity } from "../identity/identity.ts";
import { openIdentity } from "../identity/open.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import { type NetworkConfig, networkText, readNetworkFile } from "../lib/network-config.ts";
import { type Logger, silentLogger } from "../lib/ports.ts";
import type { DiscoverySource } from "../node/types.ts";
import { type Anvil, startAnvil } from "./anvil.ts";
import { fund, giveGas, hasCode, openAccount } from "./funding.ts";
import { type Ground, loopbackGround, type Web } from "./ground.ts";
import {
  type DevnetConsumer,
  type DevnetExit,
  type DevnetNode,
  type Surroundings,
  startBootstrap,
  startConsumer,
  startExit,
} from "./parts.ts";
import { livingProcess, writePidFile } from "./pids.ts";
import { type ExitPlan, exitPlans, funding } from "./plan.ts";
import type { NodeProcess } from "./processes.ts";
import { createSupervisor, type Supervisor } from "./supervisor.ts";
import { anvilFile, ownerFile, reapDevnet } from "./sweep.ts";

export type DevnetOptions = {
  /** the devnet's own: keys, ledgers, chain and logs are kept in it, and a second start goes on with them */
  directory: string;
  /** which sources of offers its peers use; default all */
  discovery?: DiscoverySource[];
  /** default: exits in US, DE and JP */
  exits?: readonly ExitPlan[];
  /** where its consumer connects to; undefined: no consumer */
  connect?: { country: string };
  log?: Logger;
  signal?: AbortSignal;
  observer?: Partial<DevnetObserver>;
};

/** Told what happens while it starts and runs; it only observes. */
export type DevnetObserver = {
  step(text: string): void;
  process(process: NodeProcess): void;
  node(node: DevnetNode | DevnetExit | DevnetConsumer): void;
  network(network: NetworkConfig): void;
};

export type Devnet = AsyncDisposable & {
  network: NetworkConfig;
  networkFile: string;
  rpc: string;
  ground: Ground;
  /** the site that tells its callers where they come from */
  webUrl: string;
  bootstrap: DevnetNode;
  exits: DevnetExit[];
  consumer: DevnetConsumer | undefined;
  /** a data directory with a key and a deposit for somebody to join with */
  guest: { dataDir: string };
  /** gas and test tokens */
  fund(address: Hex): Promise<void>;
  /** from here on the consumer's process may end */
  expectEnd(name: string): void;
  /** rejects when a part ends by itself */
  failed: Promise<never>;
  stop(): Promise<void>;
};

const oneAddress = "this system has no 127.0.1.1: all exits go out from 127.0.0.1 (see ifconfig lo0 alias)";
const nodeNames = (exits: readonly ExitPlan[]) => ["bootstrap", ...exits.map(({ name }) => name), "consumer", "guest"];

/**
 * Starts a whole market on this machine, on loopback alone: a chain with contract and token, a bootstrap peer, exits, a consumer
 * (each the very process that people run) and a web server. What an earlier devnet left in the directory is ended or gone on with.
 * @throws DATA_DIR_LOCKED while another devnet runs there, TOOL_MISSING without anvil, INTERRUPTED, and what a part fails with
 */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const directory = resolve(options.directory);
  const release = await claim(directory);
  try {
    const devnet = await startOn(loopbackGround, { ...options, directory });
    const stop = () => devnet.stop().finally(release);
    return { ...devnet, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await release();
    throw error;
  }
}

/** As `startDevnet`, on any ground, in a directory that nobody else uses. */
export async function startOn(ground: Ground, options: DevnetOptions): Promise<Devnet> {
  const { directory } = options;
  const supervisor = createSupervisor(directory, options.signal);
  const { stop } = supervisor;
  try {
    await reapDevnet(directory);
    return { ...(await startParts(ground, options, supervisor)), stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw supervisor.explain(error);
  }
}

async function startParts(
  ground: Ground,
  options: DevnetOptions,
  supervisor: Supervisor,
): Promise<Omit<Devnet, "stop" | typeof Symbol.asyncDispose>> {
  const { directory, observer = {}, log = silentLogger, exits = exitPlans } = options;
  const { starting, signal } = supervisor;
  const [anvil, web, keys, egress] = await Promise.all([
    starting(startChain(ground, directory, log, supervisor)),
    starting(startWeb(ground, supervisor)),
    starting(openKeys(directory, ["bootstrap", ...exits.map(({ name }) => name)])),
    Promise.all(exits.map(ground.egress)),
  ]);
  const networkFile = join(directory, "network.json");
  let network = await starting(openNetwork(directory, networkFile, { rpc: anvil.rpc, identity: keyOf(keys, "bootstrap"), log }));
  await writeFile(networkFile, networkText(network));
  observer.network?.(network);
  observer.step?.("a chain of its own, with the contract and a test token on it");
  if (egress.includes(undefined)) observer.step?.(oneAddress);

  const onProcess = (process: NodeProcess) => {
    supervisor.node(process);
    observer.process?.(process);
  };
  const around: Surroundings = { directory, ground, networkFile, discovery: options.discovery, log, signal, onProcess };
  const booting = starting(startBootstrap(around));
  // while that comes up
  const provided = starting(
    Promise.all([...["consumer", "guest"].map((name) => openAccount(join(directory, name), "payer", { rpc: anvil.rpc, network, log }))]),
  );
  const bonded = starting(
    Promise.all(exits.map(({ name }) => openAccount(join(directory, name), "exit", { rpc: anvil.rpc, network, log }))),
  );
  const bootstrap = await booting;
  observer.node?.(bootstrap);
  await bonded;
  network = { ...network, bootstrap: bootstrap.addresses };
  await writeFile(networkFile, networkText(network));

  const serving = exits.map(async (plan, index) => {
    const exit = await starting(startExit(around, plan, { symbol: network.token.symbol, web, egress: egress[index] }));
    observer.node?.(exit);
    return exit;
  });
  const running = await Promise.all(serving);
  await provided;
  // the guest's directory remembers the network, so that its commands need nothing else
  const guest = { dataDir: join(directory, "guest") };
  await writeFile(join(guest.dataDir, "network.json"), networkText(network), { mode: 0o600 });
  observer.step?.(`exits in ${running.map(({ country }) => country).join(", ")} offer their service`);
  const consumer = options.connect && (await starting(startConsumer(around, { ...options.connect, webUrl: web.url })));
  if (consumer) observer.node?.(consumer);
  return {
    network,
    networkFile,
    rpc: anvil.rpc,
    ground,
    webUrl: web.url,
    bootstrap,
    exits: running,
    consumer,
    guest,
    fund: (address) => fund(anvil.rpc, network, address, funding.tokens * 10n ** BigInt(network.token.decimals)),
    expectEnd: supervisor.expectEnd,
    failed: supervisor.failed,
  };
}

async function startWeb(ground: Ground, supervisor: Supervisor): Promise<Web> {
  const web = await ground.startWeb();
  supervisor.part("web server", web.stop, web.ended);
  return web;
}

/** One devnet in a directory at a time; resolves with what gives it back. @throws DATA_DIR_LOCKED */
export async function claim(directory: string): Promise<() => Promise<void>> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, ownerFile);
  const other = await livingProcess(file);
  if (other !== undefined)
    throw new MystError("DATA_DIR_LOCKED", `a devnet runs in ${directory} already (process ${other})`, {
      hint: "end it with Ctrl-C in its terminal, or give another --data-dir",
    });
  await writePidFile(file, process.pid);
  return () => rm(file, { force: true });
}

/** The chain as it was left. One that cannot be read is given up: it holds play money, and the ledgers go with it. */
async function startChain(ground: Ground, directory: string, log: Logger, supervisor: Supervisor): Promise<Anvil> {
  const { signal } = supervisor;
  const { enter, address: host } = ground.at("bootstrap");
  const options = { stateFile: join(directory, "chain.json"), pidFile: join(directory, anvilFile), enter, host, log, signal };
  const anvil = await startAnvil(options).catch(async (error) => {
    if (!isMystError(error, "STORE_CORRUPT")) throw error;
    log.warn("the chain's state was damaged: a fresh one is begun", { directory });
    await rm(options.stateFile, { force: true });
    return startAnvil(options);
  });
  supervisor.part("anvil", anvil.stop, anvil.ended);
  return anvil;
}

const keyOf = (keys: Map<string, Identity>, name: string): Identity => {
  const key = keys.get(name);
  if (!key) throw new MystError("INTERNAL", `no key for ${name}`);
  return key;
};

async function openKeys(directory: string, names: string[]): Promise<Map<string, Identity>> {
  const open = async (name: string): Promise<[string, Identity]> => {
    const dataDir = join(directory, name);
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    return [name, (await openIdentity(dataDir)).identity];
  };
  return new Map(await Promise.all(names.map(open)));
}

/** The network of the last run where its chain still has the contract; else a new one, and nobody remembers the old. */
async function openNetwork(
  directory: string,
  file: string,
  deployment: { rpc: string; identity: Identity; log: Logger },
): Promise<NetworkConfig> {
  const { rpc, identity } = deployment;
  if (existsSync(file)) {
    const known = await readNetworkFile(file).catch(() => undefined);
    if (known && (await hasCode(rpc, known.contract))) return { ...known, rpc: [rpc], bootstrap: [] };
    const dataDirs = nodeNames(exitPlans).map((name) => join(directory, name));
    for (const dataDir of dataDirs)
      for (const part of ["db", "network.json"]) await rm(join(dataDir, part), { recursive: true, force: true });
  }
  await giveGas(rpc, identity.address);
  return deployNetwork({ ...deployment, name: "devnet", freeAnnouncers: false });
}
