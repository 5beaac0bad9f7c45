import type { Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import { deadline } from "../lib/lifecycle.ts";
import type { ByteStream } from "./network.ts";
import { pausing } from "./pausing.ts";
import { peerError } from "./peer-error.ts";

/** Unread bytes at which the other side is told to stop, and at which it may go on. Beyond them at most one window is under way. */
const pauseAtBytes = 256 * 1024;
const resumeAtBytes = 128 * 1024;
/** How long the last written bytes may take to leave. */
const closeMs = 10_000;

/** A byte stream that can also be read chunk by chunk; frames are made from it. */
export type RawStream = ByteStream & {
  /** The next chunk, or undefined once the other side has ended. @throws PEER_UNREACHABLE on a reset, PEER_TIMEOUT or INTERRUPTED by the signal */
  next(signal?: AbortSignal): Promise<Uint8Array | undefined>;
  /** Ends both halves: waits until what was written has left, discards what is not read. */
  close(): Promise<void>;
};

/**
 * Wraps a libp2p 3 stream, which pushes, into one that is pulled. Its own iterator queues without a bound, and its `onDrain`
 * resolves at once from the second time on: neither carries back-pressure, so both are done here.
 */
export function rawStream(stream: Stream, peer: string): RawStream {
  const chunks: Uint8Array[] = [];
  let unread = 0;
  let ended = stream.remoteWriteStatus === "closed" && stream.status === "open";
  let failure: Error | undefined;
  let wake: () => void = () => undefined;

  const pause = pausing(stream, () => unread >= pauseAtBytes);
  stream.addEventListener("message", (event: StreamMessageEvent) => {
    const { buffer, byteOffset, byteLength } = event.data.subarray();
    const chunk = new Uint8Array(buffer, byteOffset, byteLength);
    chunks.push(chunk);
    unread += chunk.byteLength;
    pause.look();
    wake();
  });
  // libp2p keeps what came before the end for us while we are paused; so the end counts once all of that is read
  stream.addEventListener("remoteCloseWrite", () => {
    ended = true;
    wake();
  });
  stream.addEventListener("close", (event: StreamCloseEvent) => {
    // closed without the other side having ended its half: what we have is cut short
    if (event.error || !ended) failure ??= peerError(peer, event.error ?? new Error("the stream was cut"));
    wake();
  });
  if (stream.status !== "open" && !ended) failure = peerError(peer, new Error("the stream was cut"));

  const take = (): Uint8Array | undefined => {
    const chunk = chunks.shift();
    if (!chunk) return undefined;
    unread -= chunk.byteLength;
    if (pause.paused() && unread < resumeAtBytes) pause.resume();
    return chunk;
  };

  const next = async (signal?: AbortSignal): Promise<Uint8Array | undefined> => {
    for (;;) {
      const chunk = take();
      if (chunk) return chunk;
      if (failure) throw failure;
      if (ended && stream.readBufferLength === 0) return undefined;
      if (signal?.aborted) throw peerError(peer, signal.reason, signal);
      await new Promise<void>((resolve) => {
        const done = () => {
          signal?.removeEventListener("abort", done);
          wake = () => undefined;
          resolve();
        };
        wake = done;
        signal?.addEventListener("abort", done, { once: true });
      });
    }
  };

  const drained = () =>
    new Promise<void>((resolve) => {
      const done = () => {
        stream.removeEventListener("drain", done);
        stream.removeEventListener("close", done);
        resolve();
      };
      stream.addEventListener("drain", done);
      stream.addEventListener("close", done);
    });
  // a drain may be used up by what is queued already: only the flag says that there is room
  const room = async () => {
    while (stream.writableNeedsDrain && stream.status === "open") await drained();
    if (stream.status !== "open") throw failure ?? peerError(peer, new Error("the stream is closed"));
  };
  const write = async (bytes: Uint8Array) => {
    await room();
    let more: boolean;
    try {
      more = stream.send(bytes);
    } catch (cause) {
      throw failure ?? peerError(peer, cause);
    }
    if (!more) await room();
  };

  /** Without a limit it takes as long as the other side takes to read what was written before. */
  const closeWrite = async (signal?: AbortSignal) => {
    try {
      await stream.close(signal && { signal });
    } catch (error) {
      stream.abort(error as Error);
    }
  };

  return {
    peer,
    next,
    write,
    closeWrite: () => closeWrite(),
    async *read() {
      for (let chunk = await next(); chunk; chunk = await next()) yield chunk;
    },
    close: async () => {
      await closeWrite(deadline(closeMs));
      if (stream.remoteWriteStatus === "closed") {
        if (pause.paused()) pause.resume();
        return;
      }
      // yamux cannot say "stop sending": give the other side a moment to end its half, then reset
      const timer = setTimeout(() => stream.abort(new Error("the other side did not end the stream")), 2000);
      timer.unref();
      stream.addEventListener("close", () => clearTimeout(timer), { once: true });
      if (pause.paused()) pause.resume();
    },
    abort: (error) => stream.abort(error),
  };
}
