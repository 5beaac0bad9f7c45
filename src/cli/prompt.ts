import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { MystError } from "../lib/errors.ts";
import type { Interrupts } from "./interrupts.ts";

/** Whether there is a person to ask: questions go to standard error, standard output is for results. */
export const canAsk = (): boolean => Boolean(process.stdin.isTTY && process.stderr.isTTY);

/** Asks at the terminal. What is typed is not shown when `secret`. @throws INTERRUPTED */
async function ask(question: string, interrupts: Interrupts, secret: boolean): Promise<string> {
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stderr.write(question);
  const reader = createInterface({ input: process.stdin, output: secret ? mute : process.stderr, terminal: true });
  // in raw mode Ctrl-C is a key, not a signal
  reader.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    return await interrupts.race(reader.question(""));
  } finally {
    reader.close();
    if (secret) process.stderr.write("\n");
  }
}

/** Asks for a secret, without echo. */
export const askSecret = (question: string, interrupts: Interrupts): Promise<string> => ask(`${question} `, interrupts, true);

/**
 * Asks before something that costs money or cannot be undone.
 * @throws USAGE when nobody is there to ask, INTERRUPTED on a no
 */
export async function confirm(question: string, interrupts: Interrupts): Promise<void> {
  if (!canAsk()) throw new MystError("USAGE", "this asks first, and nobody is at the terminal", { hint: "add --yes when you mean it" });
  const answer = await ask(`${question} [y/N] `, interrupts, false);
  if (!/^y(es)?$/i.test(answer.trim())) throw new MystError("INTERRUPTED", "nothing was done");
}
