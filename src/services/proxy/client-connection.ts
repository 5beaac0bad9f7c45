import { setImmediate } from "node:timers/promises";
import type { ByteStream } from "../../network/network.ts";
import type { ConsumerControl } from "./consumer-control.ts";
import { drained, drainSocket, resetSocket, whenClosed } from "./flow.ts";
import type { LocalEnd } from "./wanted.ts";

export type ClientDeps = {
  /** of the local program, half-open capable */
  socket: LocalEnd;
  stream: ByteStream;
  /** what comes from the exit after its reply */
  incoming: AsyncIterable<Uint8Array>;
  control: Pick<ConsumerControl, "send">;
  onUp(bytes: number): void;
  /** The program has said all; whether it still listens cannot be seen. */
  onUpEnd(): void;
  onDown(bytes: number): void;
};

export type ClientOptions = { id: number; lingerMs: number };

export type ClientConnection = {
  /** The target has reset the connection: once all is read, so does the local end. */
  reset(): void;
  /** The local program is hung up on; the exit is asked to stop. */
  stop(): void;
  /** Everything at once. */
  abort(error: Error): void;
};

/** Bytes that the local program has not taken: at `holdAt` the exit is asked to send no more, at `goAt` to go on. */
const holdAt = 512 * 1024;
const goAt = 256 * 1024;
/** An exit that does not heed it is not read any further. */
const holdHard = 4 * 1024 * 1024;

/**
 * Carries bytes both ways between a local program and a stream to the exit, until both halves have ended. What the exit sends
 * is read, and counted, until it ends, whether anybody takes it or not: or its count and ours would part.
 */
export function carryClient(deps: ClientDeps, { id, lingerMs }: ClientOptions): ClientConnection & { done: Promise<void> } {
  const { socket, stream, incoming, control } = deps;
  const read = Promise.withResolvers<void>();
  let downEnded = false;
  let resetWanted = false;
  let held = false;
  let stopping: NodeJS.Timeout | undefined;

  const stop = () => {
    socket.destroy();
    if (downEnded || stopping) return;
    control.send({ t: "stop", id });
    stopping = setTimeout(() => stream.abort(new Error("the exit did not stop")), lingerMs);
  };
  const lost = (error: unknown) => {
    read.resolve();
    resetSocket(socket);
    stream.abort(error instanceof Error ? error : new Error("the exit is gone"));
  };
  const onFlushed = () => {
    if (!held || socket.writableLength > goAt) return;
    held = false;
    control.send({ t: "go", id });
  };
  const down = async () => {
    for await (const bytes of incoming) {
      deps.onDown(bytes.length);
      if (socket.destroyed) continue;
      socket.write(bytes, onFlushed);
      if (socket.writableLength <= holdAt) continue;
      if (!held) control.send({ t: "hold", id });
      held = true;
      if (socket.writableLength > holdHard) await drained(socket).catch(() => undefined);
    }
    downEnded = true;
    read.resolve();
    // word of a reset was sent before the end, over a stream of its own: it is here by the next turn
    await setImmediate();
    clearTimeout(stopping);
    if (resetWanted) resetSocket(socket);
    else socket.end();
  };
  const up = async () => {
    try {
      await drainSocket(socket, (bytes) => {
        deps.onUp(bytes.length);
        return stream.write(bytes);
      });
      deps.onUpEnd();
    } catch (error) {
      if (!socket.destroyed) return lost(error);
      // ended only once the exit has stopped: before, it would pass on a good end of what was cut short
      await read.promise;
    }
    await stream.closeWrite();
  };

  socket.on("error", () => undefined);
  socket.once("close", stop);
  if (socket.destroyed) stop();
  const done = Promise.all([down().catch(lost), up().catch(lost), whenClosed(socket)]).then(() => clearTimeout(stopping));
  return {
    done,
    stop,
    reset: () => {
      resetWanted = true;
      if (downEnded) resetSocket(socket);
    },
    abort: lost,
  };
}
