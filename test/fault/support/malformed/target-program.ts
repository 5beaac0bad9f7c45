import { randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApi } from "../../../../src/api/api.ts";
import { routes } from "../../../../src/api/routes.ts";
import { listenSocket } from "../../../../src/api/socket.ts";
import { socketPathOf } from "../../../../src/api/socket-path.ts";
import { fund, giveGas } from "../../../../src/devnet/funding.ts";
import { startWebServer } from "../../../../src/devnet/web-server.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { Connection, Node } from "../../../../src/node/types.ts";
import { answerParent } from "../../../support/forked.ts";
import type { Random } from "../../../support/random.ts";
import { until } from "../../../support/until.ts";
import { feed } from "./feeding.ts";
import { nearly } from "./mutate.ts";
import { places, sample, samplesOf } from "./recording.ts";
import { addSamples } from "./samples.ts";
import type { Plant, TargetAnswer, TargetTask } from "./target.ts";

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "../network/host.ts" && context.parentURL?.endsWith("/src/node/joining.ts")
      ? { url: new URL("./host.ts", import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});

const myst = 10n ** 18n;
const found = { tried: {} as Record<string, number>, hung: [] as string[], failed: [] as string[] };
const peers = Array.from({ length: 48 }, () => createIdentity(randomBytes(32)).peerId);
const extra = new Map<string, (random: Random) => Promise<unknown>>();
let invite = "";
let socket = "";

/** An exit that watches, too, and a payer that has used it: so there is something of everything to get wrong. */
async function start({ rpc, network, plant }: Extract<TargetTask, { type: "start" }>): Promise<void> {
  const { createNode } = await import("../../../../src/node.ts");
  const directory = mkdtempSync(join(tmpdir(), "mal-"));
  const web = await startWebServer();
  const open = async (name: string, bootstrap: string[]) => {
    const node = await createNode({
      ...{ dataDir: join(directory, name), network, log: silentLogger, bootstrap },
      listen: ["/ip4/127.0.0.1/tcp/0"],
    });
    await giveGas(rpc, node.address);
    await fund(rpc, network, node.address, 20n * myst);
    await node.wallet.deposit(10n * myst, 2n * myst);
    await node.start();
    return node;
  };
  const sold = { perGiB: myst / 10n, perHour: myst / 100n, allow: [web.hostPort], block: [] };
  const exit = await open("exit", []);
  const serving = { country: "US", maxSessions: 1_000, settleAt: myst };
  await exit.serve({ ...serving, services: [{ kind: "proxy", ...sold }], watch: { feeBps: 100 } });
  invite = String((await exit.status()).addresses[0]);
  const payer = await open("payer", [invite]);
  await payer.serve({ ...serving, services: [], watch: { feeBps: 50 } });
  peers.push(payer.peerId);
  await use(payer, exit, web.url);
  addSamples({ network, exit: exit.address });
  const api = createApi(exit, { onStop: () => undefined });
  await listenSocket(api, join(directory, "exit"));
  socket = socketPathOf(join(directory, "exit"));
  for (const [name, route] of Object.entries(routes)) extra.set(`route ${name}`, (random) => request(api, route, random));
  if (plant) planted(plant);
}

/** A session with something carried in it, so that all that belongs to one was said once. */
async function use(payer: Node, exit: Node, url: string): Promise<void> {
  const wanted = { service: "proxy" as const, peer: exit.peerId, budget: myst, maxPerGiB: myst, maxPerHour: myst, proxy: "127.0.0.1:0" };
  let connection: Connection | undefined;
  await until(async () => {
    connection = await payer.connect(wanted).catch(() => undefined);
    return connection !== undefined;
  }, 60_000);
  const port = Number(connection?.endpoint.http?.split(":").at(-1));
  const get = (done: () => void) => {
    const asked = httpRequest({ port, host: "127.0.0.1", path: url, agent: false }, (answer) => answer.resume().once("close", done));
    asked.once("error", done).end();
  };
  for (let left = 3; left > 0; left--) await new Promise<void>(get);
  await connection?.disconnect();
}

type Route = (typeof routes)[keyof typeof routes];
const inputs: unknown[] = [
  { country: "US", service: "proxy", waitMs: "5", limit: "3" },
  { service: "proxy", maxPerGiB: "1", maxPerHour: "1", budget: "1", exclude: [] },
  { amount: "1", bond: "1", for: `0x${"11".repeat(20)}` },
  { owner: `0x${"22".repeat(20)}`, signer: `0x${"33".repeat(20)}` },
  {},
];

/** As any program on this machine may ask it. */
async function request(api: ReturnType<typeof createApi>, route: Route, random: Random): Promise<void> {
  const input = nearly(random.of(inputs), random);
  const path = route.path.replace(/:\w+/, () => encodeURIComponent(String(random.of([peers[0], "x", "..", random.bytes(20)]))));
  const gone = AbortSignal.timeout(1_000);
  const text = (value: unknown) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one)) ?? "";
  const raw = random.int(3) === 0 ? Buffer.from(random.bytes(random.int(200))) : text(input);
  const query = new URLSearchParams();
  if (input && typeof input === "object") for (const [key, value] of Object.entries(input)) query.append(key, text(value));
  const response =
    route.method === "GET"
      ? await api.request(`${path}?${query}`, { signal: gone })
      : await api.request(path, { method: "POST", body: raw, headers: { "content-type": "application/json" }, signal: gone });
  if ("stream" in route) await response.body?.cancel().catch(() => undefined);
  else await response.arrayBuffer();
}

/** For the control: what this row is there to see. */
function planted(plant: Plant): void {
  const kept: Uint8Array[] = [];
  places.clear();
  extra.clear();
  places.set("question planted", {
    ...{ type: "answer", maxBytes: 1_000 },
    answer: async (question) => {
      if (plant === "crash" && question.length > 20) setImmediate(() => JSON.parse("{"));
      if (plant === "hang" && question.length > 20) return new Promise(() => undefined);
      if (plant === "leak") kept.push(new Uint8Array(100_000).fill(1));
      return question;
    },
  });
  sample("question planted", randomBytes(40));
}

answerParent<TargetTask, TargetAnswer>(async (task) => {
  if (task.type === "start") await start(task);
  if (task.type === "feed") await feed(task, peers, extra, found);
  global.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const samples = Object.fromEntries([...places.keys()].map((name) => [name, samplesOf(name).length]));
  return { ...found, samples, heapMb: (heapUsed + external) / 2 ** 20, rssMb: rss / 2 ** 20, invite, socket };
});
