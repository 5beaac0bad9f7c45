import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDevnet } from "../../src/devnet/devnet.ts";
import { visit } from "../../src/devnet/visit.ts";
import type { ConnectStep } from "../../src/node/types.ts";
import { createNode } from "../../src/node.ts";
import { type Figure, type Measurement, percentile } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { measureTunnelConnects } from "./support/tunnel-connects.ts";

/** One connection of a node that runs already: each step's time from the command on, then a page's first byte through it. */
async function connectOnce(node: Awaited<ReturnType<typeof createNode>>, webUrl: string) {
  const whole = 10n ** BigInt(node.network.token.decimals);
  const beganMs = performance.now();
  const steps: Partial<Record<ConnectStep["step"], number>> = {};
  const connection = await node.connect({
    country: "US",
    service: "proxy",
    maxPerGiB: whole,
    maxPerHour: whole,
    budget: whole,
    proxy: "127.0.0.1:0",
    onStep: ({ step }) => {
      steps[step] = performance.now() - beganMs;
    },
  });
  const openMs = performance.now() - beganMs;
  const { firstByteMs } = await visit(webUrl, { socks: String(connection.endpoint.socks) });
  await connection.disconnect();
  return { found: steps.found ?? 0, agreed: steps.agreed ?? 0, open: openMs, firstByte: openMs + firstByteMs };
}

/** By WireGuard, beside the least that a tunnel takes: configured over its socket, addresses and routes in one batch, nothing else. */
async function throughTunnels(options: Parameters<typeof measureTunnelConnects>[0]): Promise<Figure[]> {
  const { connects, floors } = await measureTunnelConnects(options);
  const at = (step: "found" | "agreed" | "open" | "firstByte", p: number) =>
    percentile(
      connects.map((one) => one[step] ?? Number.NaN),
      p,
    );
  const floor = (p: number) => ({ name: `floorP${p * 100}Ms`, value: percentile(floors, p) });
  const ms = (name: string, value: number): Figure => ({ name, value, unit: "ms", better: "lower" });
  return [
    ms("foundP50Ms", at("found", 0.5)),
    ms("agreedP50Ms", at("agreed", 0.5)),
    ms("openP50Ms", at("open", 0.5)),
    { ...ms("firstByteP50Ms", at("firstByte", 0.5)), beside: floor(0.5) },
    { ...ms("firstByteP95Ms", at("firstByte", 0.95)), beside: floor(0.95) },
    ms("floorP50Ms", percentile(floors, 0.5)),
  ];
}

const connect: Measurement = {
  about: "command to first byte on a node that runs, by step: through a tunnel beside one by hand, through a proxy beside a plain fetch",
  runs: 30,
  run: async ({ runs, log, ready, signal }) => {
    const none = enterNamespaces(process.argv[1] ?? "");
    if (none) log(`no tunnels: ${none}`);
    const tunnels = none ? [] : await throughTunnels({ runs, log, signal });
    const directory = await mkdtemp(join(tmpdir(), "mystnode-connect-"));
    try {
      log("starting a devnet");
      await using devnet = await startDevnet({ directory, signal });
      await using node = await createNode({ dataDir: devnet.guest.dataDir, network: devnet.network });
      await node.start();
      const { firstByte: coldMs } = await connectOnce(node, devnet.webUrl);
      ready();
      const rounds: Awaited<ReturnType<typeof connectOnce>>[] = [];
      const floor: number[] = [];
      for (let i = 0; i < runs && !signal.aborted; i += 1) {
        // in turns: whatever slows the machine meanwhile slows both
        floor.push((await visit(devnet.webUrl)).firstByteMs);
        rounds.push(await connectOnce(node, devnet.webUrl));
        log(`${i + 1} of ${runs}`);
      }
      const at = (step: keyof (typeof rounds)[number], p: number) =>
        percentile(
          rounds.map((round) => round[step]),
          p,
        );
      const floorP50 = percentile(floor, 0.5);
      const beside = { name: "plain fetch", value: floorP50 };
      return {
        runs: rounds.length,
        failures: 0,
        tried: { connect: rounds.length },
        figures: [
          ...tunnels,
          { name: "proxyFoundP50Ms", value: at("found", 0.5), unit: "ms", better: "lower" },
          { name: "proxyOpenP50Ms", value: at("open", 0.5), unit: "ms", better: "lower" },
          { name: "proxyOpenP95Ms", value: at("open", 0.95), unit: "ms", better: "lower" },
          { name: "proxyFirstByteP50Ms", value: at("firstByte", 0.5), unit: "ms", better: "lower", beside },
          { name: "proxyFirstByteP95Ms", value: at("firstByte", 0.95), unit: "ms", better: "lower", beside },
          { name: "proxyColdFirstByteMs", value: coldMs, unit: "ms", better: "lower" },
        ],
      };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

export default connect;
