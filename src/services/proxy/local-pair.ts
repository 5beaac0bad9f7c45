import { type Duplex, duplexPair } from "node:stream";
import type { LocalEnd } from "./wanted.ts";

/**
 * A connection inside of this process: what is written to one end is read from the other. Unlike the ends of Node's pair, one that is
 * destroyed in the middle takes the other with it: the near one as a reset, so that what was cut short never looks whole.
 */
export function localPair(): { far: LocalEnd; near: Duplex } {
  const [far, near] = duplexPair();
  const destroy = far.destroy.bind(far);
  const reset = (error?: Error) => {
    if (!far.writableFinished) near.destroy(error ?? new Error("the connection was reset"));
    return destroy();
  };
  near.once("close", () => {
    if (!near.readableEnded || !near.writableFinished) far.destroy();
  });
  return { far: Object.assign(far, { destroy: reset, resetAndDestroy: reset }), near };
}
