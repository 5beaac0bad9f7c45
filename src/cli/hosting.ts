import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createApi } from "../api/api.ts";
import { type ApiClient, createApiClient } from "../api/client.ts";
import { listenSocket } from "../api/socket.ts";
import { socketPathOf } from "../api/socket-path.ts";
import type { CommandName } from "../commands.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { type NetworkConfig, networkText, parseNetwork, readNetworkFile } from "../lib/network-config.ts";
import type { Node, NodeOptions } from "../node/types.ts";
import type { Context } from "./context.ts";
import { askSecret, canAsk } from "./prompt.ts";

type Common = Context<CommandName>;

/** where a data directory remembers its network */
export const remembered = (dataDir: string) => join(dataDir, "network.json");

/**
 * The network in use: the one named, else the one that the data directory remembers.
 * @throws NO_NETWORK, NETWORK_FILE_MISSING, NETWORK_FILE_INVALID
 */
export async function chooseNetwork({ dataDir, network }: Common["settings"]): Promise<NetworkConfig> {
  if (network !== undefined) return readNetworkFile(network);
  const path = remembered(dataDir);
  const text = await readFile(path, "utf8").catch((cause: { code?: string }) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") return undefined;
    throw new MystError("DATA_DIR_UNUSABLE", `cannot read ${path}`, { hint: "check that you own it", cause });
  });
  if (text !== undefined) return parseNetwork(text, path);
  throw new MystError("NO_NETWORK", "no network is configured", {
    hint: "try one on this machine with 'mystnode devnet', make one with 'mystnode network create --rpc URL', or name one with --network FILE",
  });
}

/** From now on this data directory's commands need no --network. */
async function rememberNetwork(dataDir: string, network: NetworkConfig): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await writeFile(remembered(dataDir), networkText(network), { mode: 0o600 });
}

/** The passphrase by file, else from the person at the terminal. */
export const passphraseOf = ({ settings, interrupts }: Common): NonNullable<NodeOptions["passphrase"]> => ({
  ...(settings.passwordFile !== undefined && { file: settings.passwordFile }),
  ...(canAsk() && { prompt: (question: string) => askSecret(question, interrupts) }),
});

/** a node that runs answers this at once */
const answerMs = 5_000;

/** The node that runs on this data directory, if one does. @throws NODE_UNREACHABLE when one is there and does not answer */
export async function runningNode(dataDir: string, signal?: AbortSignal): Promise<ApiClient | undefined> {
  const api = createApiClient({ socket: socketPathOf(dataDir) });
  try {
    await api.call("identity", {}, deadline(answerMs, signal));
    return api;
  } catch (error) {
    if (isMystError(error, "NODE_NOT_RUNNING")) return undefined;
    throw error;
  }
}

/** By what a node that is started here is to check the countries that exits claim. */
export const countryOptions = ({ geoipDb, here }: { geoipDb: string[]; here: string | undefined }): Partial<NodeOptions> => ({
  ...(geoipDb.length > 0 && { geoipDbs: geoipDb }),
  ...(here !== undefined && { here }),
});

/** `tunnel`: with what it takes to open tunnels. */
export type OpenOptions = Partial<NodeOptions> & { tunnel?: boolean };

/**
 * Opens the node of the data directory in this process; it holds the directory's lock from here on.
 * @throws what `createNode` throws
 */
export async function openNode(context: Common, network: NetworkConfig, options: OpenOptions = {}): Promise<Node> {
  const { tunnel = false, ...rest } = options;
  const { enter } = await import("./entering.ts");
  const helper = await enter(context, { tunnel });
  try {
    return await makeNode(context, network, { ...rest, ...(helper && { helper }) });
  } catch (error) {
    await helper?.stop();
    throw error;
  }
}

async function makeNode(context: Common, network: NetworkConfig, options: Partial<NodeOptions>): Promise<Node> {
  const { settings } = context;
  const { createNode } = await import("../node.ts");
  const rpc = (settings as { rpc?: string }).rpc;
  const node = await createNode({
    dataDir: settings.dataDir,
    network,
    passphrase: passphraseOf(context),
    log: await context.log(),
    ...(rpc !== undefined && { rpc }),
    ...options,
  });
  try {
    await rememberNetwork(settings.dataDir, network);
  } catch (cause) {
    await node.stop();
    throw new MystError("DATA_DIR_UNUSABLE", `cannot write to ${settings.dataDir}`, { hint: "check that you own it", cause });
  }
  return node;
}

export type Host = AsyncDisposable & { node: Node; api: ApiClient };

/** A node in this process that joins the network, and the socket through which other commands drive it meanwhile. */
export async function hostNode(context: Common, network: NetworkConfig, options: OpenOptions): Promise<Host> {
  await using undo = new AsyncDisposableStack();
  const node = undo.use(await openNode(context, network, options));
  const api = createApi(node, { log: await context.log(), onStop: context.interrupts.stop });
  undo.use(await listenSocket(api, context.settings.dataDir));
  await context.interrupts.race(node.start());
  const opened = undo.move();
  return {
    node,
    api: createApiClient({ fetch: (path, init) => api.request(path, init) }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/**
 * Runs `use` on the running node, or else on one that is opened for this alone; it joins the network only with `join`, for wallet
 * and records need none. Either way through the same API.
 */
export async function withNode<T>(
  context: Common,
  use: (api: ApiClient) => Promise<T>,
  { join: joins = false, starting = {} }: { join?: boolean; starting?: Partial<NodeOptions> } = {},
): Promise<T> {
  const running = await runningNode(context.settings.dataDir, context.interrupts.signal);
  if (running) return context.interrupts.race(use(running));
  await using node = await openNode(context, await chooseNetwork(context.settings), starting);
  if (joins) {
    context.out.progress("no node runs here: joining the network for a moment");
    await context.interrupts.race(node.start());
  }
  const api = createApi(node, { log: await context.log() });
  return await context.interrupts.race(use(createApiClient({ fetch: (path, init) => api.request(path, init) })));
}

/** The network of a node, with the unit of its amounts. */
export async function networkOf(api: ApiClient): Promise<NetworkConfig> {
  const { network } = await api.call("network");
  return parseNetwork(JSON.stringify(network), "what the node says");
}
