import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { MystError } from "../lib/errors.ts";
import type { Interrupts } from "./interrupts.ts";

/** Whether there is a person to ask: questions go to standard error, standard output is for results. */
export const canAsk = (): boolean => Boolean(process.stdin.isTTY && process.stderr.isTTY);

type Terminal = { input: NodeJS.ReadStream; output: Writable };

/**
 * Asks at the terminal. What is typed is not shown when `secret`: the terminal's own echo is off before the question is there
 * to be answered.
 * @throws INTERRUPTED
 */
export async function ask(
  question: string,
  interrupts: Pick<Interrupts, "race">,
  secret: boolean,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<string> {
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input, output: secret ? mute : output, terminal: true });
  // in raw mode Ctrl-C is a key, not a signal
  reader.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    if (secret) output.write(question);
    return await interrupts.race(reader.question(secret ? "" : question));
  } catch (error) {
    // what is told next begins on a line of its own
    if (!secret) output.write("\n");
    throw error;
  } finally {
    reader.close();
    if (secret) output.write("\n");
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
