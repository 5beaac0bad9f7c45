import { MystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import type { FrameStream } from "../../network/network.ts";
import { type ToConsumer, type ToExit, toConsumerCodec, toExitCodec } from "./protocol.ts";

/** The exit's end of a session's control stream. */
export type ExitControl = {
  /** More bytes have left for their targets: the new total is told soon. */
  carriedUp(total: bigint): void;
  /** Tells that the target has reset a connection; resolves once that has left, with false when nobody listens. */
  reset(id: number): Promise<boolean>;
  /** Takes the consumer's stream, in place of an earlier one, until it ends. */
  attach(stream: FrameStream): Promise<void>;
  /** Tells the last total and hangs up. */
  end(): Promise<void>;
};

export type ExitControlOptions = {
  /** what the consumer asks of one connection, or of all */
  onAsked(message: Asked): void;
  log: Logger;
};
export type Asked = Exclude<ToExit, { t: "open" }>;

/** The total goes out when it has grown by so much, and otherwise within `tellMs`. */
const tellBytes = 128n << 10n;
const tellMs = 20;
/** frames that wait for a consumer to read; one that lets more pile up is hung up on */
const maxQueue = 1024;

export function createExitControl({ onAsked, log }: ExitControlOptions): ExitControl {
  let stream: FrameStream | undefined;
  let total = 0n;
  let told = 0n;
  let timer: NodeJS.Timeout | undefined;
  let queued = 0;
  let sending: Promise<void> = Promise.resolve();

  const detach = () => {
    stream = undefined;
    clearTimeout(timer);
    timer = undefined;
  };
  const drop = (gone: FrameStream, why: string) => {
    if (gone !== stream) return;
    log.debug("the control stream is dropped", { why });
    detach();
    gone.abort(new Error(why));
  };
  const send = (frame: ToConsumer) => {
    const to = stream;
    if (!to) return;
    if (queued >= maxQueue) return drop(to, "it is not read");
    queued += 1;
    sending = sending
      .then(() => (to === stream ? to.send(toConsumerCodec.encode(frame)) : undefined))
      .catch(() => drop(to, "it broke"))
      .finally(() => {
        queued -= 1;
      });
  };
  const tell = (t: "up" | "stopped") => {
    clearTimeout(timer);
    timer = undefined;
    told = total;
    send({ t, total });
  };

  return {
    carriedUp: (now) => {
      total = now;
      if (!stream) return;
      if (total - told >= tellBytes && queued === 0) tell("up");
      else timer ??= setTimeout(tell, tellMs, "up");
    },
    reset: async (id) => {
      send({ t: "reset", id });
      await sending;
      return stream !== undefined;
    },
    attach: async (arrived) => {
      const before = stream;
      detach();
      before?.abort(new Error("the consumer opened another control stream"));
      stream = arrived;
      tell("up");
      try {
        for (let frame = await arrived.receive(); frame; frame = await arrived.receive()) {
          const message = toExitCodec.decode(frame);
          if (message.t === "open") throw new MystError("MALFORMED", "a control stream is opened once");
          onAsked(message);
          if (message.t === "stopAll") tell("stopped");
        }
      } finally {
        if (stream === arrived) detach();
      }
    },
    end: async () => {
      if (total > told) tell("up");
      await sending;
      const last = stream;
      detach();
      await last?.close();
    },
  };
}
