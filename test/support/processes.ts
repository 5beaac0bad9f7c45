import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bin/mystnode.js", import.meta.url));

/** Root's default is a tunnel, and everybody's to ask the local network: a test that wants either names it, in a namespace of its own. */
export const noTunnels = { MYSTNODE_MDNS: "off", MYSTNODE_CONNECT_SERVICE: "proxy", MYSTNODE_SERVE_SERVICE: "proxy" };

/** A home of its own for what a test runs: whatever a process writes outside of its data directory shows up in `strays`. */
export type Place = AsyncDisposable & {
  root: string;
  dataDir: string;
  env: NodeJS.ProcessEnv;
  /** processes whose command line names this place */
  processes(): { pid: number; command: string }[];
  /** files, sockets and directories outside of the data directory */
  strays(): Promise<string[]>;
  /** what is in the data directory */
  files(): Promise<string[]>;
};

export async function makePlace(): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), "mystnode-e2e-"));
  const dataDir = join(root, "data");
  const outside = ["home", "tmp", "run"].map((name) => join(root, name));
  for (const directory of outside) mkdirSync(directory);
  const [HOME, TMPDIR, XDG_RUNTIME_DIR] = outside;
  const kept = Object.entries(process.env).filter(([name]) => !/^MYSTNODE_|^XDG_/.test(name));
  const list = async (directory: string) => (await readdir(directory, { recursive: true }).catch(() => [])).sort();
  return {
    root,
    dataDir,
    env: { ...Object.fromEntries(kept), ...noTunnels, HOME, TMPDIR, XDG_RUNTIME_DIR, NO_COLOR: "1" },
    processes: () => processesNaming(root),
    strays: async () =>
      (await Promise.all(outside.map(list))).flatMap((names, i) => names.map((name) => relative(root, join(outside[i] ?? "", name)))),
    files: () => list(dataDir),
    [Symbol.asyncDispose]: async () => {
      for (const { pid } of processesNaming(root)) signal(pid, "SIGKILL");
      await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

function processesNaming(text: string): { pid: number; command: string }[] {
  const all =
    process.platform === "linux"
      ? readdirSync("/proc")
          .filter((name) => /^\d+$/.test(name))
          .map((name) => ({ pid: Number(name), command: commandOf(name) }))
      : execFileSync("ps", ["-axo", "pid=,command="], { encoding: "utf8" })
          .split("\n")
          .map((line) => ({ pid: Number.parseInt(line, 10), command: line.replace(/^\s*\d+\s*/, "") }));
  return all.filter(({ pid, command }) => pid !== process.pid && command.includes(text));
}

/** empty for a process that is gone or only its remains are left */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone
  }
}

export type Running = {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** exit status, or the signal that ended it */
  ended: Promise<number | NodeJS.Signals>;
  /** resolves once `pattern` is on either output; throws when it ends first, or after `ms` */
  said(pattern: RegExp, ms?: number): Promise<void>;
};

/** Runs the command line, as a person would. */
export function startCli(args: string[], { env, root }: Pick<Place, "env" | "root">): Running {
  const child = spawn(process.execPath, [program, ...args], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  let over = false;
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once("close", (code, name) => {
      over = true;
      resolve(name ?? code ?? 1);
    });
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    said: (pattern, ms = 60_000) =>
      until(
        () => {
          if (pattern.test(stdout) || pattern.test(stderr)) return true;
          if (over) throw new Error(`it ended (${child.signalCode ?? child.exitCode}) before it said ${pattern}:\n${stdout}\n${stderr}`);
          return false;
        },
        ms,
        `${pattern} in\n${stdout}\n${stderr}`,
      ),
  };
}

/** Runs it to its end. */
export async function runCli(args: string[], place: Pick<Place, "env" | "root">) {
  const running = startCli(args, place);
  const status = await running.ended;
  return { status, stdout: running.stdout(), stderr: running.stderr() };
}

/** Asks until it is so. @throws after `ms`, naming `what` */
export async function until(isSo: () => boolean | Promise<boolean>, ms: number, what: string): Promise<void> {
  const end = performance.now() + ms;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(50);
  }
}
