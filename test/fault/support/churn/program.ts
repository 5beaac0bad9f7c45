import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { get } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { readNetworkFile } from "../../../../src/lib/network-config.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { startTunnelHelper } from "../../../../src/node/helper.ts";
import type { Node } from "../../../../src/node/types.ts";
import type { Told } from "../../../tunnel/support/told.ts";

/** A process on a host with a node in it, as a program that uses the library has it: so that its own heap can be asked for. */
export type ChurnTask =
  | { do: "serve"; dataDir: string; networkFile: string; listen: string }
  | { do: "join"; dataDir: string; networkFile: string; via: string; peer: string }
  /** a session, and a page through it; open until `disconnect` */
  | { do: "connect"; page: string }
  | { do: "disconnect" }
  | { do: "look" }
  /** keeps so many bytes for ever: what a leak is */
  | { do: "leak"; bytes: number }
  | { do: "stop" };
/** after a collection of garbage; `handles`: open files of the process, without sockets */
export type NodeLook = { heapBytes: number; handles: number; sessions: number };

const myst = 10n ** 18n;
const limits = { maxPerGiB: 1000n * myst, maxPerHour: 1000n * myst, budget: 10n * myst };
let node: Node | undefined;
let exit = { peer: "", via: "" };
let connection: Awaited<ReturnType<Node["connect"]>> | undefined;
const leaked: Uint8Array[] = [];

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

async function open(dataDir: string, networkFile: string, listen?: string): Promise<Node> {
  const helper = await startTunnelHelper({ log: silentLogger });
  const { createNode } = await import("../../../../src/node.ts");
  const opened = await createNode({
    dataDir,
    network: await readNetworkFile(networkFile),
    helper,
    ...(listen !== undefined && { listen: [listen] }),
  });
  await opened.start();
  return opened;
}

async function fetchPage(page: string): Promise<void> {
  const [response] = await once(get(page, { agent: false, signal: AbortSignal.timeout(20_000) }), "response");
  for await (const _ of response);
}

const linkOf = (fd: string): string => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "socket: closed by now";
  }
};

async function look(): Promise<NodeLook> {
  // what is freed by one may free more
  for (let i = 0; i < 3; i += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const handles = readdirSync("/proc/self/fd").filter((fd) => !linkOf(fd).startsWith("socket:")).length;
  return { heapBytes: process.memoryUsage().heapUsed, handles, sessions: (await node?.status())?.serving?.sessions ?? 0 };
}

async function perform(task: ChurnTask): Promise<NodeLook | undefined> {
  switch (task.do) {
    case "serve":
      node = await open(task.dataDir, task.networkFile, task.listen);
      await node.serve({
        ...{ country: "US", maxSessions: 50, settleAt: myst },
        services: [{ kind: "wireguard", perGiB: myst / 10n, perHour: myst / 100n, allow: [], block: [], listenPort: 51_820 }],
      });
      return undefined;
    case "join":
      node = await open(task.dataDir, task.networkFile);
      exit = task;
      return undefined;
    case "connect":
      connection = await node?.connect({ peer: exit.peer, via: [exit.via], service: "wireguard", ...limits });
      return void (await fetchPage(task.page));
    case "disconnect":
      return void (await connection?.disconnect());
    case "look":
      return look();
    case "leak":
      leaked.push(new Uint8Array(Buffer.from("x".repeat(task.bytes))));
      return undefined;
    case "stop":
      return void (await node?.stop());
  }
}

if (process.send) {
  const say = (message: Told<NodeLook>) => process.send?.(message);
  process.on("message", (task: ChurnTask) => {
    perform(task).then(
      (found) => say({ ...(found && { done: found }) }),
      (error) => say({ error: `${error.code ?? ""} ${error}` }),
    );
  });
  process.on("disconnect", () => process.exit(0));
  process.on("SIGINT", () => undefined);
  say({});
}
