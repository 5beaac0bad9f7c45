import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../lib/clock.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import { formatDuration } from "../lib/units.ts";
import type { DiscoverySource } from "../node/types.ts";
import { runCycle } from "./cycle.ts";
import { type Devnet, startDevnet } from "./devnet.ts";
import { createLive, type Live } from "./live.ts";
import type { CycleReport } from "./report.ts";
import { createScreen, type Screen, type Terminal } from "./screen.ts";
import { onceDirectory, sweep } from "./sweep.ts";
import { renderView } from "./view.ts";
import { commandName, nextLines, summaryLines } from "./words.ts";

export type RunDevnetOptions = {
  /** the devnet keeps what it keeps in `devnet` below it */
  dataDir: string;
  /** one cycle, and nothing is kept */
  once: boolean;
  /** the report as one JSON object, and nothing else on stdout */
  json: boolean;
  quiet: boolean;
  color: boolean;
  service: "proxy";
  /** how much to download */
  bytes: bigint;
  discovery?: DiscoverySource[];
  stdout: Terminal;
  stderr: Terminal;
  log: Logger;
  signal: AbortSignal;
};

const country = "US";
const redrawMs = 150;
const maxColumns = 80;
const noticeMs = 500;

/**
 * `mystnode devnet`: a whole market on this machine. With `once` it runs one cycle and ends; else it shows itself at work, runs a
 * cycle to begin with, and stays up for others to join until `signal`.
 * @returns the exit status
 * @throws INTERRUPTED when asked to end before the cycle has, and what `startDevnet` and `runCycle` throw
 */
export async function runDevnet(options: RunDevnetOptions): Promise<number> {
  const root = join(options.dataDir, "devnet");
  await sweep(root);
  if (!options.once) return stay(options, root);
  const directory = onceDirectory(root);
  try {
    return await once(options, directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
    // only when nothing of an earlier devnet is in it
    await rmdir(root).catch(() => undefined);
  }
}

/** Lines of what happens, for where nothing can be drawn. */
const tellSteps = ({ quiet, stderr }: RunDevnetOptions) =>
  quiet ? () => undefined : (text: string, atMs: number) => void stderr.write(`${formatDuration(atMs).padEnd(9)} ${text}\n`);

async function once(options: RunDevnetOptions, directory: string): Promise<number> {
  await using live = createLive(tellSteps(options));
  await using devnet = await start(options, directory, live);
  const report = await demonstrate(options, devnet, live);
  if (options.json) options.stdout.write(`${JSON.stringify(report)}\n`);
  else options.stdout.write(`${summaryLines(report, devnet.network.token).join("\n")}\n`);
  return 0;
}

async function stay(options: RunDevnetOptions, directory: string): Promise<number> {
  const drawing = Boolean(options.stdout.isTTY) && !options.quiet && !options.json;
  await using live = createLive(drawing ? undefined : tellSteps(options));
  await using view = drawing ? drawLive(live, options) : undefined;
  try {
    await using devnet = await start(options, directory, live);
    devnet.failed.catch((error: MystError) => live.observer.step(error.message));
    const report = await demonstrate(options, devnet, live);
    const other = devnet.exits.find((exit) => exit.country !== country)?.country ?? country;
    const next = nextLines({ command: commandName(), guest: devnet.guest.dataDir, webUrl: devnet.webUrl, other });
    if (view) view.print(["", ...next, ""]);
    else if (!options.json) options.stdout.write(`${["", ...summaryLines(report, devnet.network.token), "", ...next, ""].join("\n")}\n`);
    else options.stdout.write(`${JSON.stringify({ ...report, network: devnet.networkFile, guest: devnet.guest.dataDir })}\n`);
    await aborted(options.signal);
    live.observer.step("ending: sessions are closed and what is owed is cleared");
  } catch (error) {
    if (!isMystError(error, "INTERRUPTED") || !options.signal.aborted) throw error;
  }
  return 0;
}

const start = (options: RunDevnetOptions, directory: string, live: Live): Promise<Devnet> =>
  startDevnet({
    directory,
    connect: { country },
    log: options.log,
    signal: options.signal,
    observer: live.observer,
    ...(options.discovery && { discovery: options.discovery }),
  });

/** The cycle, unless a part of the devnet ends or we are asked to. */
async function demonstrate({ bytes, signal }: RunDevnetOptions, devnet: Devnet, live: Live): Promise<CycleReport> {
  const stopped = new AbortController();
  const interrupted = aborted(signal).then(() => {
    throw new MystError("INTERRUPTED", "interrupted");
  });
  const cycle = runCycle(devnet, {
    bytes,
    onStep: live.observer.step,
    onDownload: live.download,
    onSession: live.session,
    signal: AbortSignal.any([signal, stopped.signal]),
  });
  // a part that ends breaks the cycle first and is noticed a moment later: it is the cause, and what is told
  const explained = cycle.catch(async (error) => {
    await Promise.race([devnet.failed, systemClock.sleep(noticeMs)]);
    throw error;
  });
  explained.catch(() => undefined);
  try {
    return await Promise.race([explained, devnet.failed, interrupted]);
  } finally {
    stopped.abort();
  }
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

function drawLive(live: Live, { stdout, color }: RunDevnetOptions): AsyncDisposable & Pick<Screen, "print"> {
  const screen = createScreen(stdout);
  const size = () => ({ width: Math.min(maxColumns, stdout.columns ?? maxColumns) - 1, height: (stdout.rows ?? 24) - 1 });
  const draw = () => screen.draw(renderView(live.state(), { ...size(), color }));
  const timer = setInterval(draw, redrawMs);
  draw();
  return {
    print: screen.print,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      draw();
    },
  };
}
