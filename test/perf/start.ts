import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makePlace, type Place, startCli } from "../support/processes.ts";
import { type Measurement, percentile } from "../support/report.ts";

const program = fileURLToPath(new URL("../../bin/mystnode.js", import.meta.url));
const serveRuns = 5;
/** nobody answers there: what a start takes must not hang on the chain */
const network = {
  v: 1,
  name: "start",
  chainId: 31337,
  rpc: ["http://127.0.0.1:9"],
  contract: `0x${"11".repeat(20)}`,
  startBlock: 0,
  confirmations: 0,
  token: { address: `0x${"22".repeat(20)}`, symbol: "MYST", decimals: 18 },
  bootstrap: [],
  protocolPrefix: "/mystnode/start",
  minDeposit: "1",
  minBond: "1",
};

function timeOf(args: string[], env: NodeJS.ProcessEnv): number {
  const beganMs = performance.now();
  const { status } = spawnSync(process.execPath, args, { env, stdio: "ignore" });
  if (status !== 0) throw new Error(`'${args.join(" ")}' ended with ${status}`);
  return performance.now() - beganMs;
}

/** From the command to the line that says that it serves: by then the first offer is signed and announced. */
async function serveMs(place: Place, round: number): Promise<number> {
  const file = join(place.root, "network.json");
  writeFileSync(file, JSON.stringify(network));
  const dataDir = join(place.dataDir, String(round));
  mkdirSync(dataDir, { recursive: true });
  const beganMs = performance.now();
  const args = [
    "serve",
    "--service",
    "proxy",
    "--country",
    "DE",
    "--listen",
    "127.0.0.1:0",
    "--json",
    "--network",
    file,
    "--data-dir",
    dataDir,
  ];
  const running = startCli(args, place);
  await running.said(/"type":"serving"/);
  const tookMs = performance.now() - beganMs;
  running.child.kill("SIGTERM");
  const status = await running.ended;
  if (status !== 0) throw new Error(`serve ended with ${status}: ${running.stderr()}`);
  return tookMs;
}

const start: Measurement = {
  about: "how long a start takes: of --help, and of serve on a new data directory until its offer is out",
  runs: 20,
  // processes are waited for without an event loop, so that nothing of ours adds to their time
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    await using place = await makePlace();
    const bare: number[] = [];
    const help: number[] = [];
    // in turns: whatever slows the machine meanwhile slows both
    for (let i = 0; i < runs && !signal.aborted; i += 1) {
      bare.push(timeOf(["-e", "0"], place.env));
      help.push(timeOf([program, "--help"], place.env));
    }
    const serve: number[] = [];
    for (let i = 0; i < Math.min(runs, serveRuns) && !signal.aborted; i += 1) {
      serve.push(await serveMs(place, i));
      log(`serve ${i + 1}: ${Math.round(serve.at(-1) ?? 0)} ms`);
    }
    const beside = { name: "node -e 0", value: percentile(bare, 0.5) };
    return {
      runs: help.length,
      failures: 0,
      figures: [
        { name: "helpMs", value: percentile(help, 0.5), unit: "ms", better: "lower", beside },
        { name: "serveToAnnouncedMs", value: percentile(serve, 0.5), unit: "ms", better: "lower", beside },
      ],
      tried: { help: help.length, serve: serve.length },
    };
  },
};

export default start;
