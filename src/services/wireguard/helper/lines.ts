import type { Readable, Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/**
 * Calls `onLine` for each line, at most `max` characters long. A longer one is the end of it, for what follows it means nothing any more:
 * `onEnd` says so, or that the stream has ended.
 */
export function readLines(stream: Readable, max: number, onLine: (line: string) => void, onEnd: (reason: string) => void): void {
  const decoder = new StringDecoder("utf8");
  let buffer = "";
  let over = false;
  const end = (reason: string) => {
    if (over) return;
    over = true;
    buffer = "";
    onEnd(reason);
  };
  stream.on("data", (chunk: Buffer) => {
    if (over) return;
    buffer += decoder.write(chunk);
    const lines = buffer.split("\n");
    buffer = lines.pop() ?? "";
    for (const line of lines) {
      if (over) return;
      if (line.length > max) return end("a line was too long");
      onLine(line);
    }
    if (buffer.length > max) end("a line was too long");
  });
  stream.on("end", () => end("the other side has ended"));
  stream.on("error", () => end("the other side has ended"));
  stream.on("close", () => end("the other side has ended"));
}

/** A value as a line; whoever does not read any more gets nothing. */
export const writeLine = (stream: Writable, value: unknown): void => {
  if (stream.writable) stream.write(`${JSON.stringify(value)}\n`);
};
