import { Writable } from "node:stream";
import type { LogFields, Logger } from "../lib/ports.ts";
import { silentLogger } from "../lib/ports.ts";
import { printable } from "./format.ts";
import type { Output } from "./output.ts";

const names: Record<number, string> = { 20: "debug", 30: "info", 40: "warn", 50: "error" };

/** A log line as a person reads it: "12:30:01 warn  network: peer left peer=16Uiu2…". */
function readable(text: string): string {
  const { level, time, part, msg, ...fields } = JSON.parse(text) as Record<string, unknown>;
  const clock = new Date(Number(time)).toISOString().slice(11, 19);
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${String(value)}`);
  return printable(`${clock} ${(names[Number(level)] ?? "").padEnd(5)} ${part === undefined ? "" : `${part}: `}${msg}${rest.join("")}`);
}

/** The log, on standard error: lines for people at a terminal, JSON elsewhere. */
export async function createLogger(level: string, out: Output, isTerminal: boolean): Promise<Logger> {
  if (level === "silent") return silentLogger;
  const { pino } = await import("pino");
  const sink = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      out.warn(isTerminal ? readable(line) : line.trimEnd());
      done();
    },
  });
  const root = pino({ level, base: null }, sink);
  const wrap = (logger: typeof root): Logger => {
    const at = (name: "debug" | "info" | "warn" | "error") => (message: string, fields?: LogFields) => logger[name](plain(fields), message);
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), child: (part) => wrap(logger.child({ part })) };
  };
  return wrap(root);
}

const plain = (fields: LogFields = {}) =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, typeof value === "bigint" ? value.toString() : value]));
