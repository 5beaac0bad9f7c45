import type { FrameStream } from "../../network/network.ts";

/** Datagrams that a stream has not taken yet: what comes beyond them is dropped, as in any full queue on a datagram's way. */
const maxQueued = 256 * 1024;

export type DatagramSender = {
  /** Is there room for a frame of so many bytes? */
  hasRoom(bytes: number): boolean;
  /** Sends it, in order; what becomes of it nobody waits for. */
  send(frame: Uint8Array): void;
  /** Resolves once all that was sent has left, or the stream has broken. */
  flushed(): Promise<void>;
};

export function createDatagramSender(stream: Pick<FrameStream, "send">): DatagramSender {
  let queued = 0;
  let sending: Promise<void> = Promise.resolve();
  return {
    hasRoom: (bytes) => queued + bytes <= maxQueued,
    send: (frame) => {
      queued += frame.length;
      sending = sending
        .then(() => stream.send(frame))
        // the stream is reset by then, which its reader sees
        .catch(() => undefined)
        .finally(() => {
          queued -= frame.length;
        });
    },
    flushed: () => sending,
  };
}
