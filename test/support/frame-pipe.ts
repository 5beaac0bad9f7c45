import { MystError } from "../../src/lib/errors.ts";
import type { FrameStream } from "../../src/network/network.ts";

/** Two ends of an in-memory stream of frames: what one sends the other receives, in order. */
export function framePipe(left: string, right: string): [FrameStream, FrameStream] {
  const toLeft = queue();
  const toRight = queue();
  return [end(right, toLeft, toRight), end(left, toRight, toLeft)];
}

type Queue = { push(frame: Uint8Array): void; finish(error?: Error): void; next(): Promise<Uint8Array | undefined> };

function queue(): Queue {
  const frames: Uint8Array[] = [];
  let over = false;
  let failed: Error | undefined;
  let wake = Promise.withResolvers<void>();
  return {
    push: (frame) => {
      frames.push(frame);
      wake.resolve();
    },
    finish: (error) => {
      over = true;
      failed ??= error;
      wake.resolve();
    },
    next: async () => {
      for (;;) {
        const frame = frames.shift();
        if (frame) return frame;
        if (failed) throw failed;
        if (over) return undefined;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
  };
}

const end = (peer: string, incoming: Queue, outgoing: Queue): FrameStream => ({
  peer,
  send: async (frame) => outgoing.push(Uint8Array.from(frame)),
  receive: () => incoming.next(),
  close: async () => outgoing.finish(),
  abort: (error) => {
    const reset = new MystError("PEER_UNREACHABLE", `reset: ${error.message}`);
    outgoing.finish(reset);
    incoming.finish(reset);
  },
});
