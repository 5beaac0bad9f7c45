import { join, relative } from "node:path";
import { systemClock } from "../lib/clock.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import { formatDuration } from "../lib/units.ts";
import type { DiscoverySource } from "../node/types.ts";
import { runCycle } from "./cycle.ts";
import { type Devnet, startOn } from "./devnet.ts";
import type { DevnetService, Ground } from "./ground.ts";
import { createLive, type Live } from "./live.ts";
import type { CycleReport } from "./report.ts";
import { createScreen, type Screen, type Terminal } from "./screen.ts";
import { renderView, type TunnelRow } from "./view.ts";
import { summaryLines } from "./words.ts";

export type RunDevnetOptions = {
  /** the devnet keeps what it keeps in `devnet` below it */
  dataDir: string;
  /** it is the one that commands take by themselves */
  isDefaultDataDir: boolean;
  /** one cycle, and nothing is kept */
  once: boolean;
  /** the report as one JSON object, and nothing else on stdout */
  json: boolean;
  quiet: boolean;
  color: boolean;
  /** undefined: as the machine allows */
  service: DevnetService | undefined;
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

/** Where a run stands, and why there. */
export type Stage = {
  ground: Ground;
  /** the devnet's own */
  directory: string;
  /** the same, as it is named in other terminals */
  shownDirectory: string;
  /** told first: which form this is, and why */
  form: string;
  /** what to type next, in another terminal */
  next(to: { guest: string; webUrl: string; other: string }): string[];
};

/** Lines of what happens, for where nothing can be drawn. */
const tellSteps = ({ quiet, stderr }: RunDevnetOptions) =>
  quiet ? () => undefined : (text: string, atMs: number) => void stderr.write(`${formatDuration(atMs).padEnd(9)} ${text}\n`);

/**
 * One cycle, then the end.
 * @returns the exit status
 * @throws INTERRUPTED when asked to end before that, and what `startOn` and `runCycle` throw
 */
export async function once(options: RunDevnetOptions, stage: Stage): Promise<number> {
  await using live = createLive(tellSteps(options));
  await using devnet = await start(options, stage, live);
  const report = await demonstrate(options, devnet, live);
  if (options.json) options.stdout.write(`${JSON.stringify(report)}\n`);
  else options.stdout.write(`${summaryLines(report, devnet.network.token).join("\n")}\n`);
  return 0;
}

/** Shows itself at work, runs a cycle to begin with, and stays up for others to join until `signal`. Returns and throws as `once`. */
export async function stay(options: RunDevnetOptions, stage: Stage): Promise<number> {
  const drawing = Boolean(options.stdout.isTTY) && !options.quiet && !options.json;
  await using live = createLive(drawing ? undefined : tellSteps(options));
  await using view = drawing ? drawLive(live, options) : undefined;
  try {
    await using devnet = await start(options, stage, live);
    devnet.failed.catch((error: MystError) => live.observer.step(error.message));
    const report = await demonstrate(options, devnet, live);
    const other = devnet.exits.find((exit) => exit.country !== country)?.country ?? country;
    const shown = (path: string) => join(stage.shownDirectory, relative(stage.directory, path));
    const guest = shown(devnet.guest.dataDir);
    const next = stage.next({ guest, webUrl: devnet.webUrl, other });
    if (view) view.print(["", ...next, ""]);
    else if (!options.json) options.stdout.write(`${["", ...summaryLines(report, devnet.network.token), "", ...next, ""].join("\n")}\n`);
    else options.stdout.write(`${JSON.stringify({ ...report, network: shown(devnet.networkFile), guest })}\n`);
    await aborted(options.signal);
    live.observer.step("ending: sessions are closed and what is owed is cleared");
  } catch (error) {
    if (!isMystError(error, "INTERRUPTED") || !options.signal.aborted) throw error;
  }
  return 0;
}

function start(options: RunDevnetOptions, { ground, directory, form }: Stage, live: Live): Promise<Devnet> {
  live.observer.step(form);
  return startOn(ground, {
    directory,
    connect: { country },
    log: options.log,
    signal: options.signal,
    observer: live.observer,
    ...(options.discovery && { discovery: options.discovery }),
  });
}

/** The cycle, unless a part of the devnet ends or we are asked to. */
async function demonstrate({ bytes, signal }: RunDevnetOptions, devnet: Devnet, live: Live): Promise<CycleReport> {
  const stopped = new AbortController();
  const interrupted = aborted(signal).then(() => {
    throw new MystError("INTERRUPTED", "interrupted");
  });
  live.tunnel(tunnelOf(devnet));
  const cycle = runCycle(devnet, {
    bytes,
    onStep: live.observer.step,
    onDownload: live.download,
    onSession: (session) => {
      live.tunnel(undefined);
      live.session(session);
    },
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

/** What the view shows of the consumer's tunnel, where it has one and there is a router that sees it. */
function tunnelOf({ ground: { router }, consumer }: Devnet): (() => Promise<TunnelRow>) | undefined {
  if (!router || consumer?.backend === undefined) return undefined;
  const { backend, trafficBefore } = consumer;
  return async () => {
    const { tunnelBytes, outsidePackets } = await router.traffic();
    return { backend, routerBytes: tunnelBytes, outsidePackets: outsidePackets - (trafficBefore?.outsidePackets ?? 0) };
  };
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
