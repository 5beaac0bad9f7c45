import { MystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { RawStream } from "./byte-stream.ts";
import type { FrameStream } from "./network.ts";

export const defaultMaxFrame = 64 * 1024;
/** A frame that the other side does not take within this is the end of the stream. */
const sendMs = 30_000;
const prefixBytes = 4;

/**
 * Frames over a byte stream: four bytes of length, big-endian, then the content. The length is checked against `maxFrame`
 * before anything of the content is kept; a frame over it resets the stream.
 */
export function frameStream(raw: RawStream, maxFrame: number): FrameStream {
  let buffer: Uint8Array = new Uint8Array();

  // what has come of a frame stays in `buffer` when a signal ends the wait, so the next call goes on from there
  const fill = async (length: number, signal: AbortSignal | undefined): Promise<boolean> => {
    const parts = [buffer];
    let have = buffer.byteLength;
    try {
      while (have < length) {
        const chunk = await raw.next(signal);
        if (!chunk) return false;
        parts.push(chunk);
        have += chunk.byteLength;
      }
      return true;
    } finally {
      if (parts.length > 1) buffer = Uint8Array.from(Buffer.concat(parts));
    }
  };
  const malformed = (message: string) => {
    const error = new MystError("MALFORMED", `peer ${raw.peer}: ${message}`, { meta: { peer: raw.peer } });
    raw.abort(error);
    return error;
  };

  return {
    peer: raw.peer,
    send: async (frame) => {
      const message = new Uint8Array(prefixBytes + frame.byteLength);
      new DataView(message.buffer).setUint32(0, frame.byteLength);
      message.set(frame, prefixBytes);
      try {
        await within(raw.write(message), sendMs, "PEER_TIMEOUT", `sending to peer ${raw.peer}`);
      } catch (error) {
        raw.abort(error as Error);
        throw error;
      }
    },
    receive: async (signal) => {
      if (!(await fill(prefixBytes, signal))) {
        if (buffer.byteLength > 0) throw malformed("the stream ended within a frame");
        return undefined;
      }
      const length = new DataView(buffer.buffer, buffer.byteOffset).getUint32(0);
      if (length > maxFrame) throw malformed(`a frame of ${length} bytes, at most ${maxFrame} allowed`);
      const end = prefixBytes + length;
      if (!(await fill(end, signal))) throw malformed("the stream ended within a frame");
      const frame = buffer.slice(prefixBytes, end);
      buffer = buffer.subarray(end);
      return frame;
    },
    close: () => raw.close(),
    abort: (error) => raw.abort(error),
  };
}
