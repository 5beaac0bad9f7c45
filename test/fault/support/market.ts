import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type ApiClient, createApiClient } from "../../../src/api/client.ts";
import { socketPathOf } from "../../../src/api/socket-path.ts";
import type { Chain } from "../../../src/chain/chain.ts";
import { createChain } from "../../../src/chain/client.ts";
import { deployNetwork } from "../../../src/chain/deploy.ts";
import { startAnvil } from "../../../src/devnet/anvil.ts";
import { fund, giveGas } from "../../../src/devnet/funding.ts";
import { type NodeProcess, ready, spawnNode } from "../../../src/devnet/processes.ts";
import { startWebServer } from "../../../src/devnet/web-server.ts";
import { openIdentity } from "../../../src/identity/open.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { type NetworkConfig, networkText } from "../../../src/lib/network-config.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { NodeStatus } from "../../../src/node/types.ts";
import { createNode } from "../../../src/node.ts";
import { type RpcLine, startRpcLine } from "./rpc-line.ts";

const log = silentLogger;
export const myst = 10n ** 18n;

/** A node of the market: the process that people run, on a data directory that outlives it. */
export type Part = {
  name: string;
  dataDir: string;
  peer: string;
  address: Hex;
  api: ApiClient;
  /** the process of now */
  process(): NodeProcess;
  /** @param program what runs the command line, by default as people do */
  start(program?: readonly string[]): Promise<void>;
  /** kill -9; resolves when it is gone */
  kill(): Promise<void>;
  /** asks it to end; resolves with its status, or SIGKILL where it had to be insisted on */
  stop(graceMs?: number): Promise<number | NodeJS.Signals>;
};

export type Market = AsyncDisposable & {
  /** One more payer, with a deposit; a process of it is started as those of the others are. */
  addPayer(): Promise<Part>;
  network: NetworkConfig;
  /** what every node asks for the chain; cutting it cuts all of them off */
  line: RpcLine;
  /** the chain as the test sees it, always */
  chain: Chain;
  webUrl: string;
  /** where the exit listens, run after run */
  invite: string;
  exit: Part;
  /** all there are, `exit` the first */
  exits: (Part & { invite: string })[];
  payers: Part[];
  /** the peer that all start from, where they are `apart` */
  boot: Part | undefined;
};

export type MarketOptions = {
  /** whole tokens, as on the command line; default 0.1 and 0.01 */
  priceGib?: string;
  priceHour?: string;
  settleAt?: string;
  /** how many payers, each with a deposit; default 1 */
  payers?: number;
  /** exit and payers know each other by a peer between them alone, and not where the other is; default false */
  apart?: boolean;
  /** how many exits, all in one country; default 1 */
  exits?: number;
  /** what the exit lets its clients reach beside the web server, host:port */
  allow?: string[];
  /** further options of the exit's `serve` */
  serving?: string[];
};

const readyMs = 60_000;
const deposit = 100n * myst;
const bond = 1n * myst;

/** A chain, a web server, one exit and its payers, on loopback alone. Nothing runs yet but the chain and the web server. */
export async function openMarket(options: MarketOptions = {}): Promise<Market> {
  const { priceGib = "0.1", priceHour = "0.01", settleAt = "1", payers: count = 1, exits: many = 1, allow = [] } = options;
  const { serving = [], apart = false } = options;
  await using undo = new AsyncDisposableStack();
  // short: sockets are in it
  const directory = await mkdtemp(join(tmpdir(), "mf-"));
  undo.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  const anvil = undo.use(await startAnvil({ log }));
  const line = undo.use(await startRpcLine(anvil.rpc));
  const web = undo.use(await startWebServer());
  const deployed = await deployNetwork({ rpc: anvil.rpc, name: "fault", log });
  const network: NetworkConfig = { ...deployed, rpc: [line.url] };
  const networkFile = join(directory, "network.json");
  await writeFile(networkFile, networkText(network));
  const chain = createChain({ network: deployed, log, clock: systemClock });

  const stops: (() => Promise<unknown>)[] = [];
  undo.defer(async () => {
    for (const stop of stops) await stop();
  });
  const part = (name: string, args: string[], isUp: (status: NodeStatus) => boolean): Part => {
    const dataDir = join(directory, name);
    let running: NodeProcess | undefined;
    const start = async (program?: readonly string[]) => {
      const common = ["--network", networkFile, "--no-color", "--log-level", "info"];
      running = await spawnNode({ name, dataDir, args: [...args, ...common], log, ...(program && { program }) });
      const probe = async () => {
        const status = await made.api.call("status", {}, AbortSignal.timeout(5_000));
        made.peer = status.peer;
        made.address = status.address;
        return isUp(status) ? status : undefined;
      };
      await ready(running, probe, readyMs);
    };
    const process = () => {
      if (!running) throw new Error(`${name} was never started`);
      return running;
    };
    const stop = async (graceMs = 30_000) => {
      await running?.stop(graceMs);
      return running?.ended ?? 0;
    };
    const kill = async () => {
      const how = await Promise.race([process().ended, wait(0)]);
      if (how !== undefined) throw new Error(`${name} had ended by itself (${how})`);
      global.process.kill(process().pid, "SIGKILL");
      await process().ended;
      await stop();
    };
    stops.push(() => stop(3_000));
    const made: Part = {
      ...{ name, dataDir, peer: "", address: "0x" as Hex, api: createApiClient({ socket: socketPathOf(dataDir) }) },
      ...{ process, start, kill, stop },
    };
    return made;
  };

  const place = async (name: string) => {
    const { identity } = await openIdentity(join(directory, name));
    return { address: identity.address, invite: `/ip4/127.0.0.1/tcp/${await freePort()}/p2p/${identity.peerId}` };
  };
  const listenAt = (address: string) => address.replace(/\/p2p\/.*/, "");
  const isListening = ({ addresses }: NodeStatus) => addresses.length > 0;
  const start = apart ? (await place("boot")).invite : undefined;
  const boot = start ? part("boot", ["serve", "--service", "none", "--listen", listenAt(start)], isListening) : undefined;
  const sold = ["--price-gib", `${priceGib}myst`, "--price-hour", `${priceHour}myst`, "--settle-at", `${settleAt}myst`];
  const more = [...(start ? ["--bootstrap", start] : []), ...[web.hostPort, ...allow].flatMap((to) => ["--allow", to]), ...serving];
  const exits: (Part & { invite: string })[] = [];
  for (let i = 0; i < many; i += 1) {
    const name = i === 0 ? "exit" : `exit-${i + 1}`;
    const { address, invite } = await place(name);
    await giveGas(anvil.rpc, address);
    const args = ["serve", "--service", "proxy", "--country", "US", ...sold, "--listen", listenAt(invite), ...more];
    exits.push(
      Object.assign(
        part(name, args, ({ serving }) => serving !== undefined),
        { invite },
      ),
    );
  }
  const [exit] = exits as [(typeof exits)[number]];
  const { invite } = exit;

  const payers: Part[] = [];
  const addPayer = async (): Promise<Part> => {
    const name = `payer-${payers.length}`;
    await openAccount(join(directory, name), network, anvil.rpc);
    const helping = ["serve", "--service", "none", "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", start ?? invite];
    const payer = part(name, helping, isListening);
    payers.push(payer);
    return payer;
  };
  for (let i = 0; i < count; i += 1) await addPayer();
  const opened = undo.move();
  return {
    ...{ network, line, chain, webUrl: web.url, invite, exit, exits, payers, boot, addPayer },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** The payer's own node makes the deposit: a ledger that knows nothing of its account signs nothing. */
async function openAccount(dataDir: string, network: NetworkConfig, rpc: string): Promise<void> {
  await using node = await createNode({ dataDir, network, log });
  await fund(rpc, network, node.address, deposit + bond);
  await node.wallet.deposit(deposit, bond);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
