import type { Duplex } from "node:stream";
import type { ReplyCode } from "./protocol.ts";

export type Destination = { host: string; port: number };

/** A program's end of a connection: its socket, or what stands for one. */
export type LocalEnd = Duplex & { resetAndDestroy(): unknown };

/** What a program has asked for, in whichever protocol it speaks. */
export type Wanted = Destination & {
  /** what the program sends and takes: paused, half-open capable, without listeners but one for errors; whoever got this owns it */
  end: LocalEnd;
  /** Tells the program what became of it, in its own protocol. After anything but `ok` the end is finished with. Called once. */
  answer(code: ReplyCode): void;
};

const hangUpMs = 1_000;

/** Ends a connection with a last answer: what the program still sends is of no interest, and its end is not waited for long. */
export function hangUp(end: Duplex, answer?: Uint8Array | string): void {
  const tooLong = setTimeout(() => end.destroy(), hangUpMs);
  end.once("close", () => clearTimeout(tooLong));
  end.resume();
  if (answer === undefined) end.end();
  else end.end(answer);
}
