import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ApiClient, createApiClient } from "../../../src/api/client.ts";
import { socketPathOf } from "../../../src/api/socket-path.ts";
import type { NodeStatus } from "../../../src/node/types.ts";
import { type Host, inside } from "./internet.ts";

/** A node on a host of the small internet: the command that people run, as root, on a data directory that outlives it. */
export type TunnelNode = {
  host: Host;
  api: ApiClient;
  /** of the process of now */
  pid(): number;
  /** Runs the command until its status is as wanted. @throws with its last words when it ends before */
  start(args: string[], isUp: (status: NodeStatus) => boolean): Promise<NodeStatus>;
  /** Asks it to end and insists after `graceMs`; resolves with how it ended. */
  stop(graceMs?: number): Promise<number | NodeJS.Signals>;
  /** Another command on the same data directory, to its end: what it prints on both outputs. */
  command(args: string[]): string;
};

const program = fileURLToPath(new URL("../../../bin/mystnode.js", import.meta.url));
const readyMs = 60_000;

export function createTunnelNode(host: Host, dataDir: string, networkFile: string): TunnelNode {
  const api = createApiClient({ socket: socketPathOf(dataDir) });
  const common = ["--network", networkFile, "--data-dir", dataDir, "--no-color"];
  const logFile = join(dataDir, "node.log");
  let child: ChildProcess | undefined;
  let ended: Promise<number | NodeJS.Signals> = Promise.resolve(0);
  let over = true;
  return {
    host,
    api,
    pid: () => child?.pid ?? 0,
    start: async (args, isUp) => {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      const log = openSync(logFile, "a", 0o600);
      const running = spawn(...inside(host, [process.execPath, program, ...args, ...common, "--log-level", "info"]), {
        stdio: ["ignore", log, log],
        env: cleanEnvironment(),
      });
      closeSync(log);
      child = running;
      over = false;
      ended = new Promise((resolve) =>
        running.once("exit", (code, signal) => {
          over = true;
          resolve(signal ?? code ?? 1);
        }),
      );
      const lateMs = performance.now() + readyMs;
      for (;;) {
        const status = await api.call("status", {}, AbortSignal.timeout(5_000)).catch(() => undefined);
        if (status && isUp(status)) return status;
        if (over || performance.now() > lateMs) throw new Error(`'${args[0]}' ${over ? "ended" : "was not ready"}: ${lastWords(logFile)}`);
        await new Promise((done) => setTimeout(done, 20));
      }
    },
    stop: async (graceMs = 15_000) => {
      const late = setTimeout(() => child?.kill("SIGKILL"), graceMs);
      if (!over) child?.kill("SIGTERM");
      const how = await ended;
      clearTimeout(late);
      return how;
    },
    command: (args) => host.run([process.execPath, program, ...args, ...common].map((word) => `'${word}'`).join(" ")),
  };
}

/** Ours, without what would configure the node behind our back. */
const cleanEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(MYSTNODE_|XDG_|SUDO_)/.test(name)));

const lastWords = (file: string): string => readFileSync(file, "utf8").trim().split("\n").slice(-8).join("\n");
