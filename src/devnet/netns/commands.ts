import { execFile, spawn } from "node:child_process";
import { MystError } from "../../lib/errors.ts";

const maxMs = 20_000;

/**
 * Runs a tool to its end; resolves with what it printed. `input` goes to its standard input.
 * @throws INTERNAL with its last words
 */
export function runTool(command: readonly string[], input = ""): Promise<string> {
  const [file = "", ...args] = command;
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { timeout: maxMs, maxBuffer: 1 << 20 }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const words = stderr.trim().split("\n").slice(-3).join("; ") || error.message;
      reject(new MystError("INTERNAL", `${command.join(" ").slice(0, 200)}: ${words}`.slice(0, 500), { cause: error }));
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

export type Companion = {
  pid: number;
  ended: Promise<void>;
  /** closes its standard input, on which it ends; insists after a moment */
  stop(): Promise<void>;
};

const readyMs = 20_000;
const graceMs = 2_000;

/**
 * Starts a process that says `ready` on its standard output and ends when its standard input does. In a session of its own: the
 * terminal's Ctrl-C is not for it.
 * @throws INTERNAL with its last words when it ends first
 */
export function startCompanion(command: readonly string[]): Promise<Companion> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  child.stdin.on("error", () => undefined);
  const stop = async () => {
    child.stdin.end();
    const late = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(late);
  };
  return new Promise((resolve, reject) => {
    let words = "";
    const fail = (why: string) => {
      clearTimeout(late);
      reject(new MystError("INTERNAL", `${command.join(" ").slice(0, 200)} ${why} ${words.trim().slice(-300)}`.trim()));
    };
    const late = setTimeout(() => {
      fail("did not get ready.");
      child.kill("SIGKILL");
    }, readyMs);
    child.stderr.on("data", (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-2000);
    });
    child.stdout.on("data", (chunk: Buffer) => {
      if (child.pid === undefined || !chunk.toString().includes("ready")) return;
      clearTimeout(late);
      resolve({ pid: child.pid, ended, stop });
    });
    void ended.then(() => fail("ended."));
  });
}
