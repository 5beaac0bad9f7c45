import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import { type ErrorCode, MystError } from "../../../lib/errors.ts";
import type { Logger } from "../../../lib/ports.ts";
import { toolPath } from "../backend/run-tool.ts";
import { readLines, writeLine } from "./lines.ts";
import { type Asked, type Note, noteSchema, type Request } from "./protocol.ts";

type Event = Extract<Note, { event: string }>;
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

/** The node's end of the pipe: requests with their answers, and what the helper tells unasked. */
export type Calls = {
  ask<T>(request: WithoutId<Asked>, result: z.ZodType<T>): Promise<T>;
  tell(request: Extract<Request, { op: "credit" }>): void;
  /** `ending` is the last; what is returned takes the listener out again */
  on(listener: (event: Event) => void): () => void;
  ended: Promise<string>;
  stop(): Promise<void>;
};

/** an answer is at most one long list of counters */
const noteMax = 256 * 1024;
/** an orderly end takes its time for each thing that is put back */
const stopGraceMs = 10_000;

const main = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js", import.meta.url));

/** @throws TUNNEL_FAILED when the process cannot be started */
export async function startCalls(log: Logger): Promise<Calls> {
  // in a session of its own: neither the terminal's signals nor its end reach it but through us
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main], {
    env: { PATH: toolPath, LC_ALL: "C" },
    cwd: "/",
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  await once(child, "spawn").catch((cause) => {
    throw new MystError("TUNNEL_FAILED", "the helper that sets up the tunnel cannot be started", { cause });
  });
  log.debug("the tunnel's helper runs", { pid: child.pid });
  return createCalls(child, log);
}

function createCalls(child: ChildProcessByStdio<Writable, Readable, Readable>, log: Logger): Calls {
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: unknown): void }>();
  const listeners = new Set<(event: Event) => void>();
  let lastId = 0;
  let over: string | undefined;
  let reason: string | undefined;
  const gone = () => new MystError("TUNNEL_FAILED", `the tunnel's helper has ended: ${over}`, { hint: "start the command again" });

  const onEvent = (event: Event) => {
    if (event.event === "beat") writeLine(child.stdin, { op: "beat" });
    else if (event.event === "log") log[event.level](event.message);
    else if (event.event === "ending") reason = event.reason;
    else for (const listener of listeners) listener(event);
  };
  const onLine = (line: string) => {
    const note = parse(line);
    if (!note) return log.warn("the tunnel's helper said what is not understood");
    if ("event" in note) return onEvent(note);
    const call = waiting.get(note.id);
    waiting.delete(note.id);
    if ("error" in note) {
      const { code, message, hint } = note.error;
      call?.reject(new MystError(code as ErrorCode, message, hint === undefined ? {} : { hint }));
    } else call?.resolve(note.result);
  };
  readLines(child.stdout, noteMax, onLine, () => undefined);
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    words = (words + chunk).slice(-2000);
  });
  child.stdin.on("error", () => undefined);
  const ended = new Promise<string>((resolve) =>
    child.once("close", (status, signal) => {
      over = reason ?? (words.match(/^\w*Error.*$/m)?.[0] || `it ended (${signal ?? status})`);
      for (const { reject } of waiting.values()) reject(gone());
      waiting.clear();
      for (const listener of listeners) listener({ event: "ending", reason: over });
      resolve(over);
    }),
  );
  const ask = (request: WithoutId<Asked>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (over !== undefined) return reject(gone());
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      writeLine(child.stdin, { id: lastId, ...request });
    });
  return {
    ask: async (request, result) => result.parse(await ask(request)),
    tell: (request) => writeLine(child.stdin, request),
    on: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    ended,
    stop: async () => {
      if (over !== undefined) return;
      const late = setTimeout(() => child.kill("SIGKILL"), stopGraceMs);
      await ask({ op: "stop" }).catch(() => undefined);
      child.stdin.end();
      await ended;
      clearTimeout(late);
    },
  };
}

function parse(line: string): Note | undefined {
  try {
    return noteSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
