import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Count, readCount } from "./count.ts";

export type Outcome = { name: string; count: Count; ms: number; output: string; problems: string[] };

const running = new Set<ChildProcess>();
const outputMax = 200_000;

/** Ends the process groups of all files under way. */
export function endAll(): void {
  for (const child of running) signalGroup(child, "SIGKILL");
}

/**
 * Runs one test file with this very Node, in a process group and a temporary directory of its own, at most `limitMs`.
 * Beside its failed tests these count as failures: no test ran, a process or a file left behind.
 */
export async function runFile(root: string, file: string, limitMs: number): Promise<Outcome> {
  // short, because unix sockets below it must fit into 108 bytes
  const temporary = mkdtempSync(join(tmpdir(), "mt-"));
  try {
    const ran = await runCommand([process.execPath, file], { cwd: root, limitMs, env: { ...cleanEnv(), TMPDIR: temporary } });
    const count = readCount(ran.output);
    const problems = [...ran.problems];
    if (!count) problems.push("ran no test: it printed no count");
    const left = readdirSync(temporary);
    if (left.length > 0) problems.push(`left files behind in its temporary directory: ${left.join(", ")}`);
    const failed = Math.max((count?.failed ?? 0) + problems.length, ran.status === 0 ? 0 : 1);
    if (ran.status !== 0 && !count?.failed) problems.push(`ended with status ${ran.status}`);
    return {
      name: file,
      count: { passed: count?.passed ?? 0, failed, skipped: count?.skipped ?? 0 },
      ms: ran.ms,
      output: ran.output,
      problems,
    };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

export type Ran = { status: number | string; output: string; stdout: string; ms: number; problems: string[] };

/** Runs a command to its end, or kills its process group after `limitMs`. `output` is stdout and stderr as they came. */
export async function runCommand(command: string[], options: { cwd: string; limitMs: number; env?: NodeJS.ProcessEnv }): Promise<Ran> {
  const [file = "", ...args] = command;
  const started = performance.now();
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  running.add(child);
  let output = "";
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    output = (output + text).slice(-outputMax);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(-outputMax);
  });
  const problems: string[] = [];
  const limit = setTimeout(() => {
    problems.push(`did not end within ${options.limitMs / 1000} s`);
    signalGroup(child, "SIGKILL");
  }, options.limitMs);
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const status = await new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "unknown"));
    child.once("error", (error) => resolve(error.message));
  });
  clearTimeout(limit);
  const ms = performance.now() - started;
  // a child of its own that is just ending gets a moment; one that stays is a fault of the test
  for (let waitedMs = 0; groupAlive(child) && waitedMs < 2_000; waitedMs += 50) await wait(50);
  if (groupAlive(child)) {
    if (problems.length === 0) problems.push("left a process behind");
    signalGroup(child, "SIGKILL");
  }
  await Promise.race([closed, wait(1_000)]);
  child.stdout.destroy();
  child.stderr.destroy();
  running.delete(child);
  return { status, output, stdout, ms, problems };
}

/** Settings of whoever runs the tests, and of where they run, must not change what they see. */
function cleanEnv(): NodeJS.ProcessEnv {
  // that namespaces must be there is no setting of what is tested
  const settings = /^(MYSTNODE_(?!REQUIRE_NETNS$)|XDG_)|^(CI|NO_COLOR|FORCE_COLOR|NODE_DISABLE_COLORS|COLORTERM|TERM)$/;
  const kept = Object.entries(process.env).filter(([name]) => !settings.test(name));
  return { ...Object.fromEntries(kept), TERM: "xterm-256color" };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid) process.kill(-child.pid, signal);
  } catch {
    // it has ended
  }
}

function groupAlive(child: ChildProcess): boolean {
  try {
    return child.pid !== undefined && process.kill(-child.pid, 0);
  } catch {
    return false;
  }
}
