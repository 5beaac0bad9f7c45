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
  exit: Exit;
  /** all there are, `exit` the first */
  exits: Exit[];
  target: Host;
  hosts: Map<string, Host>;
  network: NetworkConfig;
  /** for a node of the test's own on the consumer's host, in place of the command */
  joining: { dataDir: string; networkFile: string; peer: string; via: string };
  /** what the consumer's host may send to while its kill switch stands */
  allowed: Allowed[];
  /** those of further hosts */
  nodeOf(name: string): TunnelNode;
  /** default: the first */
  startExit(index?: number): Promise<void>;
  /**
   * The first guest's, or another's; until its tunnel is up, or as far as told. By the first exit, whose end is the connection's, or, with
   * arguments, as they say, and with all exits to start from.
   */
  startConsumer(guest?: Guest, fact?: TunnelState["fact"], args?: string[]): Promise<void>;
};

export type Exit = TunnelNode & { peer: string; dataDir: string };

export type TunnelMarketOptions = {
  /** whole tokens; default 0.1 and 0.01 */
  priceGib?: string;
  priceHour?: string;
  /** default 1 */
  guests?: number;
  exits?: number;
  /** further hosts */
  also?: string[];
  /** further hosts, whose nodes have an account with a bond */
  bonded?: string[];
  /** further options of the exit's `serve` */
  serving?: string[];
};

const myst = 10n ** 18n;
const deposit = 1000n * myst;
const bond = 1n * myst;
const peerPort = 4480;
const tunnelPort = 51_820;

const numbered = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => (i === 0 ? name : `${name}${i + 1}`));

/**
 * A market with a tunnel in it: consumer, exit and target on hosts of their own, the chain at the router. To be opened inside of
 * namespaces of our own, in a directory that goes with them.
 */
export async function openTunnelMarket(options: TunnelMarketOptions = {}): Promise<TunnelMarket> {
  const { priceGib = "0.1", priceHour = "0.01", guests: guestCount = 1, exits: exitCount = 1 } = options;
  const { also = [], bonded = [], serving = [] } = options;
  await using undo = new AsyncDisposableStack();
  const directory = "/run/market";
  mkdirSync(directory);
  const [guestNames, exitNames] = [numbered("consumer", guestCount), numbered("exit", exitCount)];
  const hosts = openInternet(["consumer", ...exitNames, "target", ...guestNames.slice(1), ...also, ...bonded]);
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
  const nodes = guestNames.map(nodeOf);
  const further = new Map(bonded.map((name) => [name, nodeOf(name)]));
  const exits: Exit[] = [];
  for (const name of exitNames) {
    const dataDir = join(directory, name);
    const { identity } = await openIdentity(dataDir);
    await giveGas(anvil.rpc, identity.address);
    exits.push({ ...nodeOf(name), peer: identity.peerId, dataDir });
  }
  const exit = exits[0] as Exit;
  undo.defer(async () => void (await Promise.all([...nodes, ...further.values(), ...exits].map((node) => node.stop(3_000)))));
  for (const name of [...guestNames, ...bonded]) await openAccount(join(directory, name), network, anvil.rpc);

  const target = undo.use(await startAgent(hostOf("target")));
  await target.ask({ do: "serve" });
  const guests: Guest[] = [];
  for (const node of nodes) guests.push({ node, user: undo.use(await startAgent(node.host)) });
  const [{ node: consumer, user }] = guests as [Guest];
  const at = ({ host }: Exit) => `/ip4/${host.address}/tcp/${peerPort}`;
  const invitation = (one: Exit) => `${at(one)}/p2p/${one.peer}`;
  const via = invitation(exit);
  const sold = ["--price-gib", `${priceGib}myst`, "--price-hour", `${priceHour}myst`];
  const limits = ["--max-price-gib", "1000myst", "--max-price-hour", "1000myst", "--budget", "500myst"];
  const everybody = exits.flatMap((one) => ["--bootstrap", invitation(one)]);
  const opened = undo.move();
  return {
    ...{ consumer, user, guests, exit, exits, hosts, network, target: hostOf("target") },
    nodeOf: (name) => further.get(name) as TunnelNode,
    joining: { dataDir: join(directory, "consumer"), networkFile, peer: exit.peer, via },
    allowed: [
      ...exits.flatMap(({ host: { address } }): Allowed[] => [
        { address, protocol: "tcp", port: peerPort },
        { address, protocol: "udp", port: tunnelPort },
      ]),
      { address: rpcAddress, protocol: "tcp", port: Number(new URL(line.url).port) },
    ],
    startExit: async (index = 0) => {
      const one = exits[index] as Exit;
      const others = exits.filter((other) => other !== one).flatMap((other) => ["--bootstrap", invitation(other)]);
      const args = ["serve", "--service", "wireguard", "--country", "US", ...sold, "--listen", at(one), ...others, ...serving];
      await one.start(args, ({ serving }) => serving !== undefined);
    },
    startConsumer: async ({ node } = guests[0] as Guest, fact = "up", wanted) => {
      const args = wanted ? [...wanted, ...everybody] : [exit.peer, "--failover", "off", "--via", via];
      await node.start(["connect", ...args, "--service", "wireguard", ...limits], ({ tunnel }) => tunnel?.fact === fact);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** The payer's own node makes the deposit: a ledger that knows nothing of its account signs nothing. */
export async function openAccount(dataDir: string, network: NetworkConfig, rpc: string): Promise<void> {
  await using node = await createNode({ dataDir, network, log });
  await fund(rpc, network, node.address, deposit + bond);
  await node.wallet.deposit(deposit, bond);
}
