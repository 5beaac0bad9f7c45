import type { Socket } from "node:net";
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

/** A program that wants to send datagrams: for as long as its TCP connection stands. */
export type WantedDatagrams = {
  socket: Socket;
  /** of its own, from which they will come; 0: it does not say */
  port: number;
  /** Tells it where they are taken, or that they are not. Called once. */
  answer(bound: Destination | undefined): void;
};

export type OnWanted = { connection(wanted: Wanted): void; datagrams(wanted: WantedDatagrams): void };

const hangUpMs = 1_000;

/** Ends a connection with a last answer: what the program still sends is of no interest, and its end is not waited for long. */
export function hangUp(end: Duplex, answer?: Uint8Array | string): void {
  const tooLong = setTimeout(() => end.destroy(), hangUpMs);
  end.once("close", () => clearTimeout(tooLong));
  end.resume();
  if (answer === undefined) end.end();
  else end.end(answer);
}
