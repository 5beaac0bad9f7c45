import { z } from "zod";
import { type Codec, cborCodec, fixedBytes, wireUint } from "../../lib/codec.ts";
import { MystError } from "../../lib/errors.ts";
import type { ByteStream } from "../../network/network.ts";
import { maxAddressBytes } from "./address.ts";

/**
 * The proxy on the wire.
 *
 * One byte stream a connection: a header, a reply, then the connection's bytes both ways, each half closed by itself. Header
 * and reply are CBOR behind two bytes of length.
 *
 * Beside them one stream of frames a session, so that both sides come to the same count: what one has sent the other has
 * received, or it does not count. For that nothing may wait where it is not seen: a consumer that cannot take more of a connection
 * says so and reads on; and a connection that ends early is not reset while bytes are under way: its sender falls silent and ends its
 * half, and the other side reads to the end.
 *
 * Datagrams have a stream of frames for each of a program's associations: a header and a reply, then each frame is the address that a
 * datagram goes to, or came from, and its payload. What cannot be passed on at once is dropped, as anywhere on a datagram's way.
 */
export const streamProtocol = "proxy/1.0.0";
export const controlProtocol = "proxy-control/1.0.0";
export const datagramProtocol = "proxy-datagrams/1.0.0";

export const maxHeader = 512;
export const maxReply = 64;
export const maxControlFrame = 64;
/** what UDP over IPv4 can carry, behind the longest address */
export const maxPayload = 65_507;
export const maxDatagramFrame = maxAddressBytes + maxPayload;
/** What a datagram counts: its payload, and the headers of IPv4 and UDP, so that empty ones are not free. */
export const countOf = (payloadBytes: number): number => payloadBytes + 28;

const session = fixedBytes(16);
const connectionId = z.int().min(0).max(0xffffffff);

const header = z.strictObject({
  session,
  /** the consumer's number for this connection, not used again in the session */
  id: connectionId,
  /** a name, resolved by the exit, or an address */
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65535),
});

/** What became of a connection request. */
export const replyCodes = ["ok", "session", "busy", "policy", "name", "refused", "unreachable", "timeout", "failed"] as const;
export type ReplyCode = (typeof replyCodes)[number];
/** of a stream for datagrams; its number is one of the same row as those of connections */
const association = z.strictObject({ session, id: connectionId });
const reply = z.strictObject({ code: z.enum(replyCodes) });

const toExit = z.discriminatedUnion("t", [
  /** first of all: which session this is about */
  z.strictObject({ t: z.literal("open"), session }),
  /** the consumer wants no more of this connection; its stream is read to the end */
  z.strictObject({ t: z.literal("stop"), id: connectionId }),
  /** the same for all of them; answered by `stopped` */
  z.strictObject({ t: z.literal("stopAll") }),
  /** release nothing more of this connection to the consumer, until `go` */
  z.strictObject({ t: z.literal("hold"), id: connectionId }),
  z.strictObject({ t: z.literal("go"), id: connectionId }),
]);
const total = wireUint(64);
const toConsumer = z.discriminatedUnion("t", [
  /** payload bytes that left for their targets so far, all connections of the session together */
  z.strictObject({ t: z.literal("up"), total }),
  /** the target has reset this connection: so should the consumer, once it has read the stream to its end */
  z.strictObject({ t: z.literal("reset"), id: connectionId }),
  /** no connection carries anything any more, and `total` will not rise by those that were */
  z.strictObject({ t: z.literal("stopped"), total }),
]);

export type Header = z.output<typeof header>;
export type ToExit = z.output<typeof toExit>;
export type ToConsumer = z.output<typeof toConsumer>;

export const headerCodec = cborCodec(header, maxHeader);
export const associationCodec = cborCodec(association, maxControlFrame);
export const replyCodec = cborCodec(reply, maxReply);
export const toExitCodec = cborCodec(toExit, maxControlFrame);
export const toConsumerCodec = cborCodec(toConsumer, maxControlFrame);

/** A session's id as its 16 bytes. */
export const sessionBytes = (sessionId: string): Uint8Array => Uint8Array.from(Buffer.from(sessionId, "hex"));
export const sessionText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** `value` behind two bytes of its length, big-endian. */
export function prefixed<T>(codec: Codec<T>, value: T): Uint8Array {
  const body = codec.encode(value);
  const framed = new Uint8Array(body.length + 2);
  new DataView(framed.buffer).setUint16(0, body.length);
  framed.set(body, 2);
  return framed;
}

const joined = (a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> => {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
};

export type PrefixedReader<T> = {
  /** @throws MALFORMED when it is longer than `max`, of another form, or cut short; PEER_UNREACHABLE on a reset */
  first(): Promise<T>;
  /** what follows the first message, once that has been read */
  rest(): AsyncIterable<Uint8Array>;
};

/** Reads one prefixed message from the beginning of a stream, then its bytes. Never holds more than a message and a chunk. */
export function prefixedReader<T>(stream: Pick<ByteStream, "read">, codec: Codec<T>, max: number): PrefixedReader<T> {
  const chunks = stream.read()[Symbol.asyncIterator]();
  let held = new Uint8Array();
  const need = async (length: number) => {
    while (held.length < length) {
      const next = await chunks.next();
      if (next.done) throw new MystError("MALFORMED", "the stream ended within its first message");
      held = joined(held, next.value);
    }
  };
  return {
    first: async () => {
      await need(2);
      const length = new DataView(held.buffer).getUint16(0);
      if (length > max) throw new MystError("MALFORMED", `first message of ${length} bytes, at most ${max} allowed`);
      await need(2 + length);
      const message = codec.decode(held.slice(2, 2 + length));
      held = held.slice(2 + length);
      return message;
    },
    rest: () => ({
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          if (held.length === 0) return chunks.next();
          const value = held;
          held = new Uint8Array();
          return { done: false, value };
        },
      }),
    }),
  };
}
