import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { FrameStream } from "../network/network.ts";
import {
  type Proposal,
  printableText,
  type Rejoining,
  type ToConsumer,
  type ToProvider,
  toConsumerCodec,
  toProviderCodec,
} from "./messages.ts";

/** The stream of a session at the exit. One that breaks is no end yet: the consumer may come on another. */
export type ProviderStream = {
  peer: string;
  /** Resolves when it is sent, or cannot be: who is gone is told by the reader, and what must happen after a message happens all the same. */
  say(message: ToConsumer): Promise<void>;
  /** From here on this one is the session's. */
  take(stream: FrameStream): void;
  close(): Promise<void>;
};

export type ProviderStreamEvents = {
  /** the next message is read once this resolves, so that a peer cannot make them pile up here */
  onMessage(message: Exclude<ToProvider, Proposal | Rejoining>): Promise<void>;
  onLost(code: ErrorCode, message: string): void;
};

/** A consumer whose stream has broken has so long to come on another; it is served what it has paid for meanwhile. */
export const holdMs = 5_000;

export function holdStream(first: FrameStream, { onMessage, onLost }: ProviderStreamEvents): ProviderStream {
  let stream = first;
  let over = false;
  let held: NodeJS.Timeout | undefined;

  const broken = (error: unknown) => {
    const { code, message } = asMystError(error, "PEER_UNREACHABLE");
    // who has said what is no message does not come back
    if (code === "MALFORMED") return onLost(code, message);
    held = setTimeout(() => onLost(code, message), holdMs);
  };
  const listen = async (mine: FrameStream): Promise<void> => {
    try {
      for (;;) {
        const frame = await mine.receive();
        if (mine !== stream || over) return;
        if (frame === undefined) return onLost("PEER_UNREACHABLE", "the consumer ended the stream");
        const message = toProviderCodec.decode(frame);
        if (message.t === "propose" || message.t === "rejoin") throw new MystError("MALFORMED", "a second proposal on one stream");
        await onMessage(message);
      }
    } catch (error) {
      mine.abort(error as Error);
      if (mine === stream && !over) broken(error);
    }
  };
  void listen(first);
  return {
    peer: first.peer,
    say: async (message) => {
      await stream.send(toConsumerCodec.encode(message)).catch(() => undefined);
    },
    take: (next) => {
      clearTimeout(held);
      const before = stream;
      stream = next;
      before.abort(new Error("the consumer has come on another stream"));
      void listen(next);
    },
    close: async () => {
      over = true;
      clearTimeout(held);
      await stream.close().catch(() => undefined);
    },
  };
}

/** The first frame of a stream. @throws MALFORMED, PEER_TIMEOUT, PEER_UNREACHABLE */
export async function receiveFirst(stream: FrameStream, waitMs: number): Promise<Proposal | Rejoining> {
  const frame = await stream.receive(deadline(waitMs));
  if (frame === undefined) throw new MystError("PEER_UNREACHABLE", "the consumer proposed nothing");
  const message = toProviderCodec.decode(frame);
  if (message.t !== "propose" && message.t !== "rejoin") throw new MystError("MALFORMED", "a session begins with a proposal");
  return message;
}

export const refuse = async (stream: FrameStream, code: ErrorCode, message: string): Promise<void> => {
  await stream.send(toConsumerCodec.encode({ t: "refused", code, message: printableText(message) })).catch(() => undefined);
  await stream.close().catch(() => undefined);
};
