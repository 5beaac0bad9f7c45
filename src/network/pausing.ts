import type { Stream } from "@libp2p/interface";

/** Makes a stream's other side wait while too much of it lies unread here. */
export type Pausing = {
  /** To be called when more has come. */
  look(): void;
  /** To be called when some of it has gone. */
  resume(): void;
  paused(): boolean;
};

/**
 * libp2p hands out what it kept before it resumes: a pause in the midst of that would be undone, and the stream grow unread. So
 * `isFull` is asked again once it has resumed.
 */
export function pausing(stream: Pick<Stream, "pause" | "resume">, isFull: () => boolean): Pausing {
  let paused = false;
  let resuming = false;
  const look = () => {
    if (paused || resuming || !isFull()) return;
    paused = true;
    stream.pause();
  };
  return {
    look,
    paused: () => paused,
    resume: () => {
      paused = false;
      resuming = true;
      try {
        stream.resume();
        resuming = false;
        look();
      } catch {
        // it has closed meanwhile, and there is nothing to resume
      }
      resuming = false;
    },
  };
}
