import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { MystError } from "../../lib/errors.ts";
import { anyProxy, type DevnetService, type Ground } from "../ground.ts";
import { type ExitPlan, exitPlans } from "../plan.ts";
import { placesFile } from "../sweep.ts";
import type { Visit, VisitOptions } from "../visit.ts";
import { runTool, startCompanion } from "./commands.ts";
import { devnetDirectory, type Mounts, makeMounts } from "./mounts.ts";
import { exposeProgram } from "./program.ts";
import {
  lineSpeeds,
  listCounters,
  type Place,
  parseTraffic,
  placeLines,
  resolvConf,
  routerLines,
  routerRules,
  routerSysctls,
  type Topology,
  topologyOf,
} from "./topology.ts";

/**
 * Keeps a place's namespaces: network, and mounts, so that what belongs to one machine (sockets and state of tunnels) is not shared
 * with the others. It ends when we do.
 */
const holder = `set -e
for name in wireguard mystnode; do mkdir -p /run/$name; mount -t tmpfs -o mode=755 tmpfs /run/$name; done
echo ready
read -r _ || :`;

const extension = extname(import.meta.url);
const helpers = join(extension === ".ts" ? "src" : "dist", "devnet", "programs");

/**
 * Lays the network out around us: the namespace we are in is the router, and every place is one of its own.
 * Must only be called inside (enter.ts).
 * @throws INTERNAL with what a tool says
 */
export async function openGround(service: DevnetService, mounts: Mounts): Promise<Ground> {
  const topology = topologyOf(exitPlans);
  await makeMounts(resolvConf(topology), mounts);
  const { node, root, userArgs } = await exposeProgram();
  const pids = await holdPlaces(topology);
  writeFileSync(join(devnetDirectory, placesFile), JSON.stringify(Object.fromEntries(pids)));
  // only tunnels make a node become somebody else
  const stays = service === "proxy" ? [] : userArgs;
  const at = (part: string) => ({ enter: enterLine(pids, part), address: placeOf(topology, part).address });
  await layOut(topology, pids);
  const run = (part: string, name: string, ...args: string[]) => [
    ...at(part).enter,
    node,
    join(root, helpers, `${name}${extension}`),
    ...args,
  ];
  return {
    service,
    at,
    egress: async ({ address }: ExitPlan) => address,
    program: [node, join(root, "bin", "mystnode.js")],
    serveArgs: () => stays,
    connectArgs: service === "proxy" ? anyProxy : stays,
    startWeb: async () => {
      const { address, address6 } = topology.target;
      const { ended, stop } = await startCompanion(run("target", "target", address, address6));
      return { url: "http://site.devnet", hostPort: `${address}:80`, ended, stop };
    },
    visit: (part, url, options) => visitFrom(run(part, "visitor", url, ...(options.socks === undefined ? [] : [options.socks])), options),
    router: { traffic: async () => parseTraffic(await runTool(["nft", ...listCounters])) },
  };
}

const placeOf = ({ places }: Topology, part: string): Place => {
  const place = places.find(({ name }) => name === part);
  if (!place) throw new MystError("INTERNAL", `the devnet has no place for ${part}`);
  return place;
};

const enterLine = (pids: ReadonlyMap<string, number>, part: string): string[] => [
  "nsenter",
  "-t",
  String(pids.get(part)),
  "-n",
  "-m",
  "--",
];

async function holdPlaces({ places }: Topology): Promise<Map<string, number>> {
  const command = ["unshare", "--net", "--mount", "--", "sh", "-c", holder];
  return new Map(await Promise.all(places.map(async ({ name }) => [name, (await startCompanion(command)).pid] as const)));
}

async function layOut(topology: Topology, pids: ReadonlyMap<string, number>): Promise<void> {
  for (const [path, value] of Object.entries(routerSysctls)) writeFileSync(join("/proc/sys", path), value);
  const batch = (enter: string[], lines: string[]) => runTool([...enter, "ip", "-batch", "-"], `${lines.join("\n")}\n`);
  await batch([], routerLines(topology, pids));
  // a kernel may come without it, and then lines are as fast as they are
  await runTool(["tc", "-batch", "-"], `${lineSpeeds(topology).join("\n")}\n`).catch(() => undefined);
  await Promise.all([
    runTool(["nft", "-f", "-"], routerRules(topology)),
    ...topology.places.map((place) => batch(enterLine(pids, place.name), placeLines(place))),
  ]);
}

const visitLine = z.object({
  bytes: z.number().optional(),
  error: z.string().optional(),
  visit: z.object({ caller: z.string(), bytes: z.number(), firstByteMs: z.number(), totalMs: z.number() }).optional(),
});

/** @throws INTERNAL when the visit fails, INTERRUPTED */
async function visitFrom(command: string[], { onBytes, signal }: VisitOptions): Promise<Visit> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const abort = () => void child.kill("SIGKILL");
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  let last: z.output<typeof visitLine> = {};
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      last = visitLine.parse(JSON.parse(line));
      if (last.bytes !== undefined) onBytes?.(last.bytes);
    }
    await ended;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  if (last.visit) return last.visit;
  if (signal?.aborted) throw new MystError("INTERRUPTED", "interrupted", { cause: signal.reason });
  throw new MystError("INTERNAL", `the page did not come: ${last.error ?? "the visitor ended"}`);
}
