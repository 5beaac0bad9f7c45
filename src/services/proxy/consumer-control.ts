import { deadline } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { FrameStream } from "../../network/network.ts";
import { sessionBytes, type ToExit, toConsumerCodec, toExitCodec } from "./protocol.ts";

/** The consumer's end of a session's control stream. */
export type ConsumerControl = {
  /** Opens it unless it is open. Nobody waits for it: without it only uploads are not counted. */
  ensure(): void;
  send(message: Exclude<ToExit, { t: "open" }>): void;
  /** Asks the exit to stop everything; resolves when it has, or cannot any more. */
  stopAll(signal: AbortSignal): Promise<void>;
  close(): void;
};

export type ConsumerControlDeps = {
  open(signal: AbortSignal): Promise<FrameStream>;
  sessionId: string;
  /** the exit's total of bytes that left upwards */
  onUp(total: bigint): void;
  /** the target of a connection has reset it */
  onReset(id: number): void;
  log: Logger;
};

const openMs = 10_000;

export function createConsumerControl(deps: ConsumerControlDeps): ConsumerControl {
  const closed = new AbortController();
  const stopped = Promise.withResolvers<void>();
  let opening: Promise<FrameStream> | undefined;
  let stopping = false;

  const listen = async (stream: FrameStream) => {
    for (let frame = await stream.receive(); frame; frame = await stream.receive()) {
      const message = toConsumerCodec.decode(frame);
      if (message.t === "reset") deps.onReset(message.id);
      else deps.onUp(message.total);
      if (message.t === "stopped") stopped.resolve();
    }
  };
  const run = async () => {
    const stream = await deps.open(deadline(openMs, closed.signal));
    await stream.send(toExitCodec.encode({ t: "open", session: sessionBytes(deps.sessionId) }));
    const forget = (error: Error) => {
      opening = undefined;
      if (stopping) stopped.resolve();
      if (closed.signal.aborted) return;
      deps.log.debug("the control stream ended", { reason: error.message });
      stream.abort(error);
    };
    listen(stream).then(() => forget(new Error("the exit ended it")), forget);
    return stream;
  };
  const ensure = () => {
    opening ??= run().catch((error) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  const send = async (message: ToExit) => {
    const stream = await ensure();
    await stream.send(toExitCodec.encode(message));
  };
  const quietly = (work: Promise<unknown>) => {
    work.catch((error: Error) => {
      if (!closed.signal.aborted) deps.log.debug("the control stream failed", { reason: error.message });
    });
  };
  return {
    ensure: () => quietly(ensure()),
    send: (message) => quietly(send(message)),
    stopAll: async (signal) => {
      stopping = true;
      const given = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      const asked = send({ t: "stopAll" }).then(() => stopped.promise);
      await Promise.race([asked, given]).catch(() => undefined);
    },
    close: () => {
      closed.abort();
      opening?.then((stream) => stream.close()).catch(() => undefined);
      opening = undefined;
    },
  };
}
