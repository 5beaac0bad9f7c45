import { MystError } from "../../src/lib/errors.ts";
import type { ByteStream, FrameStream, Network } from "../../src/network/network.ts";
import { framePipe } from "./frame-pipe.ts";

/** As much as a stream of the real network takes unread before its writer waits. */
const windowBytes = 256 * 1024;

/** Two ends of an in-memory stream of bytes, with back-pressure, half-close and reset as the real ones have them. */
export function bytePipe(left: string, right: string): [ByteStream, ByteStream] {
  const toLeft = lane();
  const toRight = lane();
  const reset = (error: Error) => {
    toLeft.fail(error);
    toRight.fail(error);
  };
  return [end(right, toLeft, toRight, reset), end(left, toRight, toLeft, reset)];
}

type Lane = ReturnType<typeof lane>;

function lane() {
  const chunks: Uint8Array[] = [];
  let unread = 0;
  let ended = false;
  let failed: Error | undefined;
  let change = Promise.withResolvers<void>();
  const changed = () => {
    change.resolve();
    change = Promise.withResolvers();
  };
  return {
    write: async (bytes: Uint8Array) => {
      if (failed || ended) throw failed ?? new MystError("PEER_UNREACHABLE", "written after the end");
      chunks.push(bytes);
      unread += bytes.length;
      changed();
      while (unread > windowBytes && !failed) await change.promise;
      if (failed) throw failed;
    },
    end: () => {
      ended = true;
      changed();
    },
    fail: (error: Error) => {
      failed ??= new MystError("PEER_UNREACHABLE", `reset: ${error.message}`);
      changed();
    },
    async *read() {
      for (;;) {
        if (failed) throw failed;
        const chunk = chunks.shift();
        if (chunk) {
          unread -= chunk.length;
          changed();
          yield chunk;
        } else if (ended) return;
        else await change.promise;
      }
    },
  };
}

const end = (peer: string, incoming: Lane, outgoing: Lane, reset: (error: Error) => void): ByteStream => ({
  peer,
  write: outgoing.write,
  read: () => incoming.read(),
  closeWrite: async () => outgoing.end(),
  abort: reset,
});

type PairNetwork = Pick<Network, "handleBytes" | "handleFrames" | "openBytes" | "openFrames" | "addresses">;

/** Two peers without a network between them: what one handles the other can open. */
export function networkPair(left = "left", right = "right"): [PairNetwork, PairNetwork] {
  type Handlers = {
    bytes: Map<string, (stream: ByteStream) => Promise<void>>;
    frames: Map<string, (stream: FrameStream) => Promise<void>>;
  };
  const handlers: Record<string, Handlers> = {
    [left]: { bytes: new Map(), frames: new Map() },
    [right]: { bytes: new Map(), frames: new Map() },
  };
  const peer = (self: string): PairNetwork => ({
    addresses: () => [],
    handleBytes: async (protocol, handler) => void handlers[self]?.bytes.set(protocol, handler),
    handleFrames: async (protocol, _, handler) => void handlers[self]?.frames.set(protocol, handler),
    openBytes: async (to, protocol, signal) => {
      signal.throwIfAborted();
      const [ours, theirs] = bytePipe(self, to);
      serve(handlers[to]?.bytes.get(protocol), theirs);
      return ours;
    },
    openFrames: async (to, protocol) => {
      const [ours, theirs] = framePipe(self, to);
      serve(handlers[to]?.frames.get(protocol), theirs);
      return ours;
    },
  });
  return [peer(left), peer(right)];
}

function serve<S extends { abort(error: Error): void }>(handler: ((stream: S) => Promise<void>) | undefined, stream: S): void {
  if (!handler) throw new MystError("PEER_REFUSED", "nobody handles this protocol");
  handler(stream).catch((error) => stream.abort(error));
}
