import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deployNetwork } from "../../../src/chain/deploy.ts";
import { startAnvil } from "../../../src/devnet/anvil.ts";
import { fund, giveGas } from "../../../src/devnet/funding.ts";
import { openIdentity } from "../../../src/identity/open.ts";
import { type NetworkConfig, networkText } from "../../../src/lib/network-config.ts";
import { silentLogger as log } from "../../../src/lib/ports.ts";
import { createNode } from "../../../src/node.ts";
import type { TunnelState } from "../../../src/services/wireguard/types.ts";
import { startRpcLine } from "../../fault/support/rpc-line.ts";
import { type Agent, startAgent } from "./agents.ts";
import { type Host, openInternet, routerOf } from "./internet.ts";
import { createTunnelNode, type TunnelNode } from "./node-process.ts";

/** Where a consumer may go outside of its tunnel, as the router sees it. */
export type Allowed = { address: string; protocol: "tcp" | "udp"; port: number };

/** A consumer's node, and who does what it is told on its host, as any other program there. */
export type Guest = { node: TunnelNode; user: Agent };

export type TunnelMarket = AsyncDisposable & {
  /** those of the first guest */
  consumer: TunnelNode;
  user: Agent;
  guests: Guest[];
  exit: TunnelNode;
  target: Host;
  hosts: Map<string, Host>;
  /** for a node of the test's own on the consumer's host, in place of the command */
  joining: { dataDir: string; networkFile: string; peer: string; via: string };
  /** what the consumer's host may send to while its kill switch stands */
  allowed: Allowed[];
  startExit(): Promise<void>;
  /** the first guest's, or another's; until its tunnel is up, or as far as told */
  startConsumer(guest?: Guest, fact?: TunnelState["fact"]): Promise<void>;
};

export type TunnelMarketOptions = {
  /** whole tokens; default 0.1 and 0.01 */
  priceGib?: string;
  priceHour?: string;
  /** default 1 */
  guests?: number;
  /** further hosts */
  also?: string[];
  /** further options of the exit's `serve` */
  serving?: string[];
};

const myst = 10n ** 18n;
const deposit = 1000n * myst;
const bond = 1n * myst;
const peerPort = 4480;
const tunnelPort = 51_820;

/**
 * A market with a tunnel in it: consumer, exit and target on hosts of their own, the chain at the router. To be opened inside of
 * namespaces of our own, in a directory that goes with them.
 */
export async function openTunnelMarket(options: TunnelMarketOptions = {}): Promise<TunnelMarket> {
  const { priceGib = "0.1", priceHour = "0.01", guests: count = 1, also = [], serving = [] } = options;
  await using undo = new AsyncDisposableStack();
  const directory = "/run/market";
  mkdirSync(directory);
  const names = Array.from({ length: count }, (_, i) => (i === 0 ? "consumer" : `consumer${i + 1}`));
  const hosts = openInternet(["consumer", "exit", "target", ...names.slice(1), ...also]);
  const hostOf = (name: string) => hosts.get(name) as Host;
  const consumerHost = hostOf("consumer");
  const anvil = undo.use(await startAnvil({ log }));
  const rpcAddress = routerOf(consumerHost);
  const line = undo.use(await startRpcLine(anvil.rpc, rpcAddress));
  const deployed = await deployNetwork({ rpc: anvil.rpc, name: "tunnel", log });
  const network: NetworkConfig = { ...deployed, rpc: [line.url] };
  const networkFile = join(directory, "network.json");
  await writeFile(networkFile, networkText(network));

  const nodeOf = (name: string): TunnelNode => createTunnelNode(hostOf(name), join(directory, name), networkFile);
  const exit = nodeOf("exit");
  const nodes = names.map(nodeOf);
  undo.defer(async () => void (await Promise.all([...nodes, exit].map((node) => node.stop(3_000)))));
  const { identity } = await openIdentity(join(directory, "exit"));
  await giveGas(anvil.rpc, identity.address);
  for (const name of names) await openAccount(join(directory, name), network, anvil.rpc);

  const target = undo.use(await startAgent(hostOf("target")));
  await target.ask({ do: "serve" });
  const guests: Guest[] = [];
  for (const node of nodes) guests.push({ node, user: undo.use(await startAgent(node.host)) });
  const [{ node: consumer, user }] = guests as [Guest];
  const at = `/ip4/${exit.host.address}/tcp/${peerPort}`;
  const via = `${at}/p2p/${identity.peerId}`;
  const sold = ["--price-gib", `${priceGib}myst`, "--price-hour", `${priceHour}myst`];
  const opened = undo.move();
  return {
    ...{ consumer, user, guests, exit, hosts, target: hostOf("target") },
    joining: { dataDir: join(directory, "consumer"), networkFile, peer: identity.peerId, via },
    allowed: [
      { address: exit.host.address, protocol: "tcp", port: peerPort },
      { address: exit.host.address, protocol: "udp", port: tunnelPort },
      { address: rpcAddress, protocol: "tcp", port: Number(new URL(line.url).port) },
    ],
    startExit: async () => {
      const args = ["serve", "--service", "wireguard", "--country", "US", ...sold, "--listen", at, ...serving];
      await exit.start(args, ({ serving }) => serving !== undefined);
    },
    startConsumer: async ({ node } = guests[0] as Guest, fact = "up") => {
      const limits = ["--max-price-gib", "1000myst", "--max-price-hour", "1000myst", "--budget", "500myst"];
      const args = ["connect", identity.peerId, "--service", "wireguard", ...limits, "--via", via];
      await node.start(args, ({ tunnel }) => tunnel?.fact === fact);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** The payer's own node makes the deposit: a ledger that knows nothing of its account signs nothing. */
async function openAccount(dataDir: string, network: NetworkConfig, rpc: string): Promise<void> {
  await using node = await createNode({ dataDir, network, log });
  await fund(rpc, network, node.address, deposit + bond);
  await node.wallet.deposit(deposit, bond);
}
