import { z } from "zod";
import { cborReader } from "../lib/cbor-reader.ts";
import { cborWriter } from "../lib/cbor-writer.ts";
import { boundedBytes, cborCodec, fixedBytes, quicker, wireAddress, wireUint } from "../lib/codec.ts";
import { readPromise, wirePromise } from "../payments/promise.ts";

/**
 * What goes over a session's stream, one CBOR map a frame. The wire form is described in docs/protocol.md; a field that
 * is not listed here makes the message malformed.
 */
export const sessionProtocol = "session/1.0.0";
export const maxSessionFrame = 4096;

const usage = z.strictObject({ bytes: wireUint(64), ms: z.int().min(0) });

/** a service's half of a key exchange is the longest */
const connection = z.record(z.string().max(20), z.union([z.string().max(200), z.int(), boundedBytes(1_200)]));

const propose = z.strictObject({
  t: z.literal("propose"),
  session: fixedBytes(16),
  service: z.string().max(20),
  perHour: wireUint(96),
  perGiB: wireUint(96),
  quantum: wireUint(96),
  validUntilMs: z.int().min(0),
  signer: wireAddress,
  salt: fixedBytes(12),
  /** the consumer's consent to the terms, as EIP-712 `Terms` */
  termsSignature: fixedBytes(64),
  /** what earlier sessions used up of this channel */
  consumed: wireUint(96),
  bought: usage,
  /** what the consumer's side of the service asks for */
  request: connection.optional(),
  /** the channel's best promise: a new one, or the stored one to the letter; absent while nothing was ever promised */
  promise: wirePromise.optional(),
});

const promise = z.strictObject({ t: z.literal("promise"), n: z.int().min(1), bought: usage, promise: wirePromise.optional() });
/** What has reached the consumer so far, for services that bill by its word. */
const received = z.strictObject({ t: z.literal("received"), bytes: wireUint(64) });
const close = z.strictObject({ t: z.literal("close") });
/** In place of a proposal, the first on a stream: a session that is open goes on over this one. */
const rejoin = z.strictObject({ t: z.literal("rejoin"), session: fixedBytes(16) });

const accepted = z.strictObject({ t: z.literal("accepted"), termsSignature: fixedBytes(64), connection });
/** a peer's words reach terminals: nothing but printable ASCII */
const printable = /^[\x20-\x7e]*$/;
const refused = z.strictObject({
  t: z.literal("refused"),
  code: z.string().max(40).regex(printable),
  message: z.string().max(200).regex(printable),
  /** with CREDIT_MISMATCH: what the exit has as used up */
  consumed: wireUint(96).optional(),
  /** the newest promise that the exit has of this payer, where it is newer than what was proposed */
  promise: wirePromise.optional(),
});
/** The purchase `n` (0: the proposal's) is on the exit's disk. */
const ack = z.strictObject({ t: z.literal("ack"), n: z.int().min(0) });
const invoice = z.strictObject({ t: z.literal("invoice"), used: usage });
const closed = z.strictObject({ t: z.literal("closed"), used: usage });
/** The session goes on over this stream; purchase `n` is the last that has come. */
const rejoined = z.strictObject({ t: z.literal("rejoined"), n: z.int().min(0) });

/** Our own words in the form that the other side takes. */
export const printableText = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200);

const toProvider = z.discriminatedUnion("t", [propose, rejoin, promise, received, close]);
const toConsumer = z.discriminatedUnion("t", [accepted, rejoined, refused, ack, invoice, closed]);

export type ToProvider = z.output<typeof toProvider>;
export type ToConsumer = z.output<typeof toConsumer>;
export type Proposal = z.output<typeof propose>;
export type Rejoining = z.output<typeof rejoin>;
export type ConnectionInfo = z.output<typeof connection>;

/** What comes a thousand times a second is read by hand, in 4 us instead of 25: a purchase with its promise. */
export function readPurchase(bytes: Uint8Array): ToProvider | undefined {
  const input = cborReader(bytes);
  input.map(4);
  input.text("n");
  const n = input.uint();
  input.text("t");
  input.text("promise");
  input.text("bought");
  input.map(2);
  input.text("ms");
  const ms = input.uint();
  input.text("bytes");
  const bought = { bytes: input.amount(8), ms };
  input.text("promise");
  const signed = readPromise(input);
  return input.done() && n > 0 ? { t: "promise", n, bought, promise: signed } : undefined;
}
/** And written its acknowledgement. */
function writeAck(message: ToConsumer): Uint8Array | undefined {
  if (message.t !== "ack" || !Number.isInteger(message.n) || message.n >= 2 ** 16) return undefined;
  return cborWriter(16).map(2).text("n").uint(message.n).text("t").text("ack").done();
}

/** The general codecs, with which the quick ways must agree. */
export const general = { toProvider: cborCodec(toProvider, maxSessionFrame), toConsumer: cborCodec(toConsumer, maxSessionFrame) };
export const toProviderCodec = quicker(general.toProvider, { maxBytes: 300, read: readPurchase });
export const toConsumerCodec = quicker(general.toConsumer, { write: writeAck });

/** What a payer asks a provider before it signs anything new for it: what is the newest of mine that you have? An empty question. */
export const heldProtocol = "held/1.0.0";
/** What a provider asks a payer once they are connected: have you promised me more than this? One question, one answer. */
export const resumeProtocol = "resume/1.0.0";
export const maxResumed = 16;
export const maxResumeFrame = 4096;
/** the newest promise of each channel that the provider has of this payer */
export const resumeQuestionCodec = cborCodec(z.strictObject({ promises: z.array(wirePromise).max(maxResumed) }), maxResumeFrame);
/** the newest promises to the letter, where they are newer */
export const resumeAnswerCodec = cborCodec(
  z.strictObject({ channels: z.array(z.strictObject({ salt: fixedBytes(12), promise: wirePromise })).max(maxResumed) }),
  maxResumeFrame,
);
