import { access, constants, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { asMystError, isMystError, MystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { silentLogger } from "../lib/ports.ts";
import type { Settings } from "../options.ts";
import type { Run } from "./context.ts";
import { checkRouter } from "./doctor-router.ts";
import { checkDatabase } from "./doctor-store.ts";
import { tunnelChecks } from "./doctor-tunnel.ts";
import { exitStatus } from "./exit-status.ts";
import { table } from "./format.ts";
import { chooseNetwork, runningNode } from "./hosting.ts";

type State = "ok" | "note" | "fail";
type Check = { name: string; state: State; found: string; remedy?: string };
export type Found = Omit<Check, "name">;

const checkMs = 10_000;
/** one that was not closed in order is mended as it is opened, at the disk's pace */
const databaseMs = 60_000;
const neededNode = [24, 7] as const;
/** blocks come late, never early: one that seems to come from further ahead shows that our clock is behind */
const clockSlackMs = 30_000;

const ok = (found: string): Found => ({ state: "ok", found });
const fail = (found: string, remedy: string): Found => ({ state: "fail", found, remedy });
const note = (found: string, remedy: string): Found => ({ state: "note", found, remedy });

/** What a node needs on this machine, each with what was found and what to do about it. Exit status 1 when something fails. */
export const doctor: Run<"doctor"> = async ({ settings, out, interrupts }) => {
  const network = chooseNetwork(settings);
  const known = await network.catch(() => undefined);
  const withNetwork = (work: (network: NetworkConfig) => Promise<Found>) => async () =>
    known ? work(known) : note("not looked at", "see the line on the network");
  const works: [string, () => Found | Promise<Found>, number?][] = [
    ["node version", checkNode],
    ["data directory", () => checkDataDir(settings.dataDir)],
    ["database", () => checkDatabase(settings.dataDir, known), databaseMs],
    ["running node", () => checkRunning(settings.dataDir)],
    ["signatures", checkCurve],
    ["network", async () => ok((await network).name)],
    ["chain", withNetwork((network) => checkChain(network, settings.rpc))],
    ["clock", withNetwork(({ rpc }) => checkClock(settings.rpc ?? rpc[0] ?? ""))],
    ["listening", () => checkListening(settings)],
    ["router", () => checkRouter(settings)],
    ...tunnelChecks(),
    ["anvil", checkAnvil],
  ];
  const run = async ([name, work, limitMs = checkMs]: (typeof works)[number]): Promise<Check> => {
    try {
      return { name, ...(await within(Promise.resolve(work()), limitMs, "PEER_TIMEOUT", name)) };
    } catch (error) {
      const { code, message, hint } = asMystError(error);
      return { name, state: "fail", found: `[${code}] ${message}`, remedy: hint ?? "see the log with --log-level debug" };
    }
  };
  const checks = await interrupts.race(Promise.all(works.map(run)));
  const failed = checks.some(({ state }) => state === "fail");
  out.object({ ok: !failed, checks });
  out.print(
    table(checks, [
      { title: "CHECK", cell: ({ name }) => name },
      { title: "", cell: ({ state }) => state },
      { title: "FOUND", cell: ({ found }) => found, flexible: true },
    ]),
  );
  for (const { name, remedy } of checks) if (remedy !== undefined) out.print(`${name.trim()}: ${remedy}`);
  return failed ? exitStatus.INTERNAL : 0;
};

function checkNode(): Found {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const enough = major > neededNode[0] || (major === neededNode[0] && minor >= neededNode[1]);
  return enough ? ok(process.versions.node) : fail(process.versions.node, `install Node ${neededNode.join(".")} or newer`);
}

async function checkDataDir(path: string): Promise<Found> {
  const found = await stat(path).catch(() => undefined);
  if (found && !found.isDirectory()) return fail(`${path} is a file`, "choose another --data-dir");
  const nearest = async (directory: string): Promise<string> =>
    (await stat(directory).catch(() => undefined)) || directory === dirname(directory) ? directory : nearest(dirname(directory));
  const writable = await access(await nearest(path), constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) return fail(`${path} cannot be written to`, "make yourself its owner, or choose another --data-dir");
  return found ? ok(path) : note(`${path} is not there yet`, "it is made on first use");
}

const checkRunning = async (dataDir: string): Promise<Found> =>
  (await runningNode(dataDir)) ? ok("answers") : note("none", "start one with 'mystnode connect' or 'mystnode serve'");

async function checkCurve(): Promise<Found> {
  const [{ curveKind }, { measureCurve, assertCurveSpeed }] = await Promise.all([
    import("../identity/signature.ts"),
    import("../identity/curve-speed.ts"),
  ]);
  // the best of a few: other work on this machine must not pass for a slow one
  const perSecond = Math.max(...[1, 2, 3].map(() => measureCurve()));
  const slow = assertCurveSpeed(perSecond);
  const found = `${curveKind} secp256k1, ${perSecond} signatures a second`;
  return slow ? fail(found, slow.hint ?? "") : ok(found);
}

async function checkChain(network: NetworkConfig, rpc: string | undefined): Promise<Found> {
  const [{ createChain }, { systemClock }] = await Promise.all([import("../chain/client.ts"), import("../lib/clock.ts")]);
  const chain = createChain({ network, log: silentLogger, clock: systemClock, ...(rpc !== undefined && { rpc }) });
  const { reachable, block, problem } = await chain.check();
  if (reachable && problem === undefined) return ok(`chain ${network.chainId} at block ${block}, contract ${network.contract}`);
  return fail(problem ?? "not reachable", "check the network file's rpc, or give another with --rpc URL");
}

/** Promises are numbered by the clock, and offers expire by it. */
async function checkClock(rpc: string): Promise<Found> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_getBlockByNumber", params: ["latest", false] });
  const answer = await fetch(rpc, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(5000),
  })
    .then(async (response) => (await response.json()) as { result?: { timestamp?: string } })
    .catch(() => undefined);
  const timestamp = answer?.result?.timestamp;
  if (timestamp === undefined) return note("not compared: no chain answers", "see the line on the chain");
  const aheadMs = Number(timestamp) * 1000 - Date.now();
  if (aheadMs > clockSlackMs)
    return fail(`${Math.round(aheadMs / 1000)} s behind the chain`, "set this machine's clock, for example by NTP");
  return ok("not behind the chain");
}

async function checkListening({ dataDir, listen }: Settings<"doctor">): Promise<Found> {
  const running = await runningNode(dataDir).catch(() => undefined);
  if (running) {
    const { addresses } = await running.call("status");
    return addresses.length > 0 ? ok(addresses[0] ?? "") : note("the running node only dials", "that is enough to connect, not to serve");
  }
  for (const address of listen) {
    // through relays nothing is listened on here
    if (address === "/p2p-circuit") continue;
    const [, , host = "", , port = ""] = address.split("/");
    const free = await canListen(host, Number(port)).catch((error) => asMystError(error));
    if (free instanceof MystError)
      return fail(`${host}:${port}: ${free.message}`, "end what uses it, or choose another with --listen host:port");
  }
  return ok(`${listen.join(", ")} is free`);
}

const canListen = (host: string, port: number) =>
  new Promise<void>((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });

async function checkAnvil(): Promise<Found> {
  const { findAnvil } = await import("../devnet/anvil.ts");
  try {
    return ok(findAnvil());
  } catch (error) {
    if (isMystError(error, "TOOL_MISSING")) return note("not found", `only devnet needs it: ${error.hint}`);
    throw error;
  }
}
