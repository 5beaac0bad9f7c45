import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import type { FrameStream } from "../network/network.ts";
import { type ToConsumer, type ToProvider, toConsumerCodec, toProviderCodec } from "./messages.ts";

/** The stream of a session at the consumer, which may be another after a while: the session is the same. */
export type ConsumerStream = {
  /** Begins to read. */
  listen(): void;
  /** @throws when it cannot be sent, where a stream that breaks is the end */
  say(message: ToProvider): Promise<void>;
  /**
   * Goes on over a new stream to the same peer. The old one is given up once the exit has agreed.
   * @throws SESSION_UNKNOWN when the exit has no such session (any more), PEER_UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED, MALFORMED
   */
  rejoin(session: Uint8Array, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
  abort(error: Error): void;
};

export type ConsumerStreamOptions = {
  open(signal: AbortSignal): Promise<FrameStream>;
  /** the next is read once this resolves, so that an exit cannot make them pile up here */
  onMessage(message: ToConsumer): Promise<void>;
  /** the exit has ended it, or says what is no message */
  onEnd(code: ErrorCode, message: string): void;
  /** it broke, and `rejoin` may help; absent: that is the end, too */
  onLost?(error: MystError): void;
};

export async function openConsumerStream(options: ConsumerStreamOptions, signal: AbortSignal): Promise<ConsumerStream> {
  const { open, onMessage, onEnd, onLost } = options;
  let stream = await open(signal);
  let over = false;

  const broken = (error: unknown) => {
    const ours = asMystError(error, "PEER_UNREACHABLE");
    if (onLost && ours.code !== "MALFORMED") onLost(ours);
    else onEnd(ours.code, ours.message);
  };
  const listen = async (mine: FrameStream): Promise<void> => {
    try {
      for (;;) {
        const frame = await mine.receive();
        if (mine !== stream) return;
        if (frame === undefined) return onEnd("PEER_UNREACHABLE", "the exit ended the session");
        await onMessage(toConsumerCodec.decode(frame));
      }
    } catch (error) {
      mine.abort(error as Error);
      if (mine === stream && !over) broken(error);
    }
  };
  return {
    listen: () => void listen(stream),
    say: async (message) => {
      // one that breaks is told by its reader, and what was on its way is said again when the session goes on
      await stream.send(toProviderCodec.encode(message)).catch((error) => {
        if (!onLost) throw error;
      });
    },
    rejoin: async (session, until) => {
      const next = await open(until);
      try {
        await next.send(toProviderCodec.encode({ t: "rejoin", session }));
        const message = await firstOf(next, until);
        const before = stream;
        stream = next;
        before.abort(new Error("the session goes on over another stream"));
        await onMessage(message);
      } catch (error) {
        next.abort(error as Error);
        throw error;
      }
      void listen(next);
    },
    close: async () => {
      over = true;
      await stream.close().catch(() => undefined);
    },
    abort: (error) => stream.abort(error),
  };
}

/** @throws SESSION_UNKNOWN for any refusal: an exit of another version knows no such question, and has lost nothing either */
async function firstOf(stream: FrameStream, signal: AbortSignal): Promise<ToConsumer> {
  const frame = await stream.receive(signal);
  if (frame === undefined) throw new MystError("PEER_UNREACHABLE", "the exit did not answer");
  const message = toConsumerCodec.decode(frame);
  if (message.t === "rejoined") return message;
  if (message.t === "refused") throw new MystError("SESSION_UNKNOWN", `the exit refused: ${message.message}`);
  throw new MystError("MALFORMED", "the exit answered what was not asked");
}
