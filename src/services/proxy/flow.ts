import type { Duplex } from "node:stream";
import type { Gate } from "./gate.ts";

/** Takes bytes on; a promise when it wants to be waited for. */
export type Sink = (bytes: Uint8Array) => Promise<void> | undefined;

/**
 * Hands a socket's bytes to `sink`, chunk by chunk, and reads nothing while it waits for one. Resolves when the other side has
 * ended its half; rejects with the socket's error, or with what `sink` threw.
 */
export function drainSocket(socket: Duplex, sink: Sink): Promise<void> {
  return new Promise((resolve, reject) => {
    let busy: Promise<void> | undefined;
    let over = false;
    const settle = (finish: () => void) => {
      if (over) return;
      over = true;
      socket.off("data", onData).off("end", onEnd).off("close", onClose);
      socket.pause();
      finish();
    };
    const fail = (error: unknown) => settle(() => reject(error));
    const onData = (chunk: Buffer) => {
      busy = sink(chunk);
      if (!busy) return;
      socket.pause();
      busy.then(onTaken, fail);
    };
    const onTaken = () => {
      busy = undefined;
      if (over) return;
      if (socket.readableEnded) settle(resolve);
      else socket.resume();
    };
    // the end of an empty buffer is told to a paused socket too
    const onEnd = () => {
      if (!busy) settle(resolve);
    };
    // one that has ended both its halves closes by itself, also while its last bytes are being taken
    const onClose = () => {
      if (!socket.readableEnded || socket.errored) fail(closedError(socket));
    };
    if (socket.readableEnded && !socket.errored) return settle(resolve);
    if (socket.destroyed) return fail(closedError(socket));
    socket.on("data", onData).on("end", onEnd).on("close", onClose);
    socket.resume();
  });
}

const closedError = (socket: Duplex): Error => socket.errored ?? new Error("the socket was closed");

/** Writes to a socket; a promise when its buffer is full: see `drained`. */
export function writeSocket(socket: Duplex, bytes: Uint8Array): Promise<void> | undefined {
  if (socket.destroyed) return Promise.reject(closedError(socket));
  return socket.write(bytes) ? undefined : drained(socket);
}

/** Resolves once a socket that has a full buffer has emptied it; rejects when the socket closes before. */
export function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      socket.off("drain", onDrain).off("close", onClose);
      finish();
    };
    const onDrain = () => settle(resolve);
    const onClose = () => settle(() => reject(closedError(socket)));
    if (socket.destroyed) return reject(closedError(socket));
    socket.on("drain", onDrain).on("close", onClose);
  });
}

/**
 * Closes a socket at once, with a reset where that can be had: while its end is being sent, Node reports a failed reset and
 * leaves the socket open for ever.
 */
export function resetSocket(socket: Duplex & { resetAndDestroy(): unknown }): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Resolves once a socket is closed, however it came to that. */
export const whenClosed = (socket: Duplex): Promise<void> =>
  new Promise((resolve) => (socket.closed ? resolve() : socket.once("close", () => resolve())));

/** Puts `sink` behind the gate: it gets a byte only once the gate has let it pass. Waiting ends with the signal's reason. */
export function gated(gate: Pick<Gate, "take" | "room">, signal: AbortSignal, sink: Sink): Sink {
  const slowly = async (bytes: Uint8Array, from: number) => {
    let sent = from;
    while (sent < bytes.length) {
      signal.throwIfAborted();
      const taken = gate.take(bytes.length - sent);
      if (taken === 0) await gate.room(signal);
      else {
        sent += taken;
        await sink(bytes.subarray(sent - taken, sent));
      }
    }
  };
  return (bytes) => {
    if (signal.aborted) return Promise.reject(signal.reason);
    const taken = gate.take(bytes.length);
    if (taken === bytes.length) return sink(bytes);
    const done = taken > 0 ? sink(bytes.subarray(0, taken)) : undefined;
    return done ? done.then(() => slowly(bytes, taken)) : slowly(bytes, taken);
  };
}
