import { MystError } from "../lib/errors.ts";
import { interrupted } from "./exit-status.ts";

export type Interrupts = {
  /** fires when the process has been asked to end */
  signal: AbortSignal;
  /** the exit status of a command that ended because of it: 130 for Ctrl-C, 0 for a request to stop that was met */
  status(): number;
  /** asks for the same from within */
  stop(): void;
  /** what `work` gives, or INTERRUPTED as soon as the process is asked to end */
  race<T>(work: Promise<T>): Promise<T>;
};

/** a launcher may pass on what the terminal has sent to the whole group already: that is one Ctrl-C, not two */
const echoMs = 300;

/** Ctrl-C and SIGTERM ask a command to end well; a second Ctrl-C ends it at once. So does the parent's going away, over IPC. */
export function createInterrupts(target: NodeJS.Process, force: () => void): Interrupts {
  const controller = new AbortController();
  let firstMs = 0;
  let status = 0;
  const ask = (exit: number) => {
    if (controller.signal.aborted) return;
    firstMs = performance.now();
    status = exit;
    controller.abort(new MystError("INTERRUPTED", "interrupted"));
  };
  target.on("SIGINT", () => {
    if (controller.signal.aborted && performance.now() - firstMs > echoMs) force();
    else ask(interrupted);
  });
  for (const signal of ["SIGTERM", "SIGHUP"] as const) target.on(signal, () => ask(0));
  if (target.connected) {
    target.on("disconnect", () => ask(0));
    // the channel shall tell us of the parent's end, not keep us alive
    target.channel?.unref();
  } else if (target.send) {
    // there was a channel, and the parent ended before we could listen
    ask(0);
  }
  return {
    signal: controller.signal,
    status: () => status,
    stop: () => ask(0),
    race: async (work) => {
      const { promise, reject } = Promise.withResolvers<never>();
      const abort = () => reject(controller.signal.reason);
      if (controller.signal.aborted) abort();
      controller.signal.addEventListener("abort", abort);
      try {
        return await Promise.race([work, promise]);
      } finally {
        controller.signal.removeEventListener("abort", abort);
      }
    },
  };
}
