import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { MystError } from "../../../lib/errors.ts";
import { toolMissing, toolPath } from "./run-tool.ts";

/** One of the system's tools that takes commands line by line and stays: a question costs no process. It ends with us, since its input does. */
export type ToolSession = {
  /**
   * Resolves with what it has printed once that is the whole answer. One question after the other.
   * @throws TOOL_MISSING, INTERNAL with its first words of complaint, or when it does not answer in time; the next question starts it anew
   */
  ask(lines: string[], isWhole: (printed: string) => boolean): Promise<string>;
  close(): void;
};

type Ask = { lines: string[]; isWhole(printed: string): boolean; resolve(printed: string): void; reject(error: unknown): void };

const answerMs = 3000;

/** @param complaintsFail whether what it prints as an error fails the question; default: it does */
export function createToolSession(tool: string, args: string[], complaintsFail = true): ToolSession {
  let child: ChildProcessWithoutNullStreams | undefined;
  let printed = "";
  let late: NodeJS.Timeout | undefined;
  /** the first is the one that was sent */
  const asks: Ask[] = [];

  const fail = (error: MystError) => {
    const old = child;
    child = undefined;
    clearTimeout(late);
    old?.kill("SIGKILL");
    for (const { reject } of asks.splice(0)) reject(error);
  };
  const start = (): ChildProcessWithoutNullStreams => {
    const running = spawn(tool, args, { env: { PATH: toolPath, LC_ALL: "C", HOME: "/" }, stdio: ["pipe", "pipe", "pipe"] });
    const failing = (why: string) => {
      if (child === running) fail(new MystError("INTERNAL", `${tool}: ${why}`.slice(0, 300)));
    };
    running.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (child === running) onText(chunk);
    });
    running.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      if (complaintsFail) failing(chunk.split("\n")[0] ?? "");
    });
    running.stdin.on("error", () => undefined);
    running.once("error", (cause: NodeJS.ErrnoException) => {
      if (child === running) fail(cause.code === "ENOENT" ? toolMissing(tool) : new MystError("INTERNAL", `cannot run ${tool}`, { cause }));
    });
    running.once("exit", (status, signal) => failing(`ended (${signal ?? status})`));
    return running;
  };
  const onText = (chunk: string) => {
    printed += chunk;
    if (!asks[0]?.isWhole(printed)) return;
    clearTimeout(late);
    asks.shift()?.resolve(printed);
    sendFirst();
  };
  const sendFirst = () => {
    printed = "";
    const [first] = asks;
    if (!first) return;
    child ??= start();
    late = setTimeout(() => fail(new MystError("INTERNAL", `${tool} did not answer within ${answerMs} ms`)), answerMs);
    child.stdin.write(`${first.lines.join("\n")}\n`);
  };
  return {
    ask: (lines, isWhole) =>
      new Promise((resolve, reject) => {
        asks.push({ lines, isWhole, resolve, reject });
        if (asks.length === 1) sendFirst();
      }),
    close: () => fail(new MystError("INTERNAL", `${tool} was ended`)),
  };
}
