import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { larger } from "../../../../src/lib/bigint.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import { isMystError } from "../../../../src/lib/errors.ts";
import { within } from "../../../../src/lib/lifecycle.ts";
import { GiB } from "../../../../src/lib/units.ts";
import type { FrameStream } from "../../../../src/network/network.ts";
import { type PromiseData, termsDigest } from "../../../../src/payments/eip712.ts";
import { channelId, newSalt, type SignedPromise, signPromise } from "../../../../src/payments/promise.ts";
import { due, type Usage } from "../../../../src/payments/terms.ts";
import { maxReply, prefixedReader, replyCodec } from "../../../../src/services/proxy/protocol.ts";
import { type Proposal, type ToConsumer, type ToProvider, toConsumerCodec, toProviderCodec } from "../../../../src/session/messages.ts";
import { termsData } from "../../../../src/session/server.ts";
import type { Door, Payer } from "./door.ts";

/** What an exit has made of something that it should refuse. */
export type Verdict = "accepted" | "refused" | "dropped" | "silent";
/** One frame, on a session's stream or as the first one on a new stream; or how a proxied connection begins. */
export type Attack = { on: "session" | "stream" | "connection"; frame: Uint8Array };

/** A channel of the cheat's with the exit. */
export type Lane = {
  salt: Uint8Array;
  channel: Hex;
  /** the newest that was honestly sent; the exit has it, unless the answer was lost, and then perhaps */
  last: SignedPromise | undefined;
  earlier: SignedPromise[];
  /** the cumulative that the exit has for certain */
  sure: bigint;
  consumed: bigint;
};
export type OpenSession = { id: Uint8Array; lane: Lane; stream: FrameStream; base: bigint; bought: Usage; n: number; openedMs: number };

const replyMs = 20_000;
const firstBytes = 1n << 20n;
const mostTries = 8;
/** what a busy exit, or one whose chain is, says for a while */
const forNow = /has not been read|was read over|places are taken/;
/** of the ten minutes that it pays for */
const freshMs = 300_000;

/** A payer that speaks the protocol by hand: it pays as it must to have a session, and tries whatever else it is told to. */
export type Cheat = {
  payer: Payer;
  door: Door;
  /** the one that its sessions are on, and another that was paid more on */
  lane: Lane;
  other: Lane;
  /** what the exit has of it, by channel: so much at least and at most */
  owed(): Map<Hex, [least: bigint, most: bigint]>;
  /** its last proposal, as it was sent */
  proposed(): Uint8Array;
  /** the session that is open, or one that is opened for it, honestly paid */
  session(validMs?: number): Promise<OpenSession>;
  /** Whoever has put an end to it: it is not there any more. */
  lose(): void;
  /** What was sent by hand is taken for honest from here on. */
  paid(promise: SignedPromise): void;
  /** the next promise as an honest payer would sign it, buying `more` bytes; nothing is sent */
  next(session: OpenSession, more?: bigint): { bought: Usage; promise: SignedPromise };
  /** a promise with this content */
  sign(content: PromiseData, by?: { identity?: Payer["identity"]; domain?: Door["domain"] }): SignedPromise;
  /** a proposal as an honest payer would make it, but for `change` */
  proposal(change?: Partial<Proposal>, termsOver?: Partial<Proposal>): Proposal;
  /** Pays once more in its session. @returns how many ms the answer took. @throws when it is not acknowledged */
  pay(): Promise<number>;
  attempt(attack: Attack): Promise<Verdict>;
};

export const frameOf = (message: ToProvider): Uint8Array => toProviderCodec.encode(message);

/** The next answer that is about what was sent; undefined once the stream is over. */
export async function replyOn(stream: FrameStream): Promise<ToConsumer | undefined> {
  for (;;) {
    const frame = await stream.receive().catch(() => undefined);
    if (!frame) return undefined;
    const message = toConsumerCodec.decode(frame);
    if (message.t !== "invoice") return message;
  }
}

const verdictOf = (reply: ToConsumer | undefined): Verdict => {
  if (!reply || reply.t === "closed") return "dropped";
  return reply.t === "refused" ? "refused" : "accepted";
};

/** What is bought on the cheat's other channel, and what is done in the session that it is bought for. */
export type First = { bytes: bigint; use?(session: OpenSession): Promise<void> };

export async function openCheat(door: Door, payer: Payer, first: First = { bytes: 64n * firstBytes }): Promise<Cheat> {
  const { identity } = payer;
  const laneOf = (): Lane => {
    const salt = newSalt();
    return { salt, channel: channelId(door.exit.address, salt), last: undefined, earlier: [], sure: 0n, consumed: 0n };
  };
  const lane = laneOf();
  const other = laneOf();
  let seq = 0n;
  let open: OpenSession | undefined;
  let opening: Promise<OpenSession> | undefined;
  let proposed: Uint8Array = new Uint8Array();
  const total = () => (lane.last?.cumulative ?? 0n) + (other.last?.cumulative ?? 0n);

  const sign: Cheat["sign"] = (content, { identity: by = identity, domain = door.domain } = {}) => signPromise(domain, by, content);
  const raised = (on: Lane, cumulative: bigint): SignedPromise => {
    const now = BigInt(door.clock.nowMs()) << 20n;
    seq = now > seq ? now : seq + 1n;
    return sign({ channel: on.channel, cumulative, total: total() + cumulative - (on.last?.cumulative ?? 0n), seq });
  };
  const taken = (on: Lane, promise: SignedPromise) => {
    if (on.last && on.last !== promise) on.earlier.push(on.last);
    on.last = promise;
  };
  const proposalOn = (on: Lane, bought: Usage, change: Partial<Proposal>, termsOver: Partial<Proposal>): Proposal => {
    const cumulative = larger(on.last?.cumulative ?? 0n, on.consumed + due(door.prices, bought));
    const said: Omit<Proposal, "termsSignature"> = {
      ...{ t: "propose", session: Uint8Array.from(randomBytes(16)), service: door.service, ...door.prices, quantum: 1n << 90n },
      ...{ validUntilMs: door.clock.nowMs() + 3_600_000, signer: identity.address, salt: on.salt, consumed: on.consumed, bought },
      promise: on.last && cumulative === on.last.cumulative ? on.last : raised(on, cumulative),
      ...change,
    };
    const { session, signer, salt, ...terms } = { ...said, ...termsOver };
    const digest = termsDigest(door.domain, termsData(session, signer, channelId(door.exit.address, salt), terms));
    return { termsSignature: identity.sign(digest), ...said };
  };
  const enter = async (on: Lane, least: Usage, validMs = 3_600_000): Promise<OpenSession> => {
    let met: ToConsumer | undefined;
    for (let tries = 0; tries < mostTries; tries += 1) {
      // what is left is used first
      const left = (on.last?.cumulative ?? 0n) - on.consumed - due(door.prices, { bytes: 0n, ms: least.ms });
      const bought = { bytes: larger(least.bytes, (left * GiB) / door.prices.perGiB), ms: least.ms };
      const stream = await payer.open();
      const proposal = proposalOn(on, bought, { validUntilMs: door.clock.nowMs() + validMs }, {});
      proposed = frameOf(proposal);
      if (proposal.promise) taken(on, proposal.promise);
      await stream.send(proposed).catch(() => undefined);
      const reply = await within(replyOn(stream), replyMs, "PEER_TIMEOUT", "the exit's answer").catch(() => undefined);
      met = reply;
      if (reply?.t === "accepted") {
        on.sure = on.last?.cumulative ?? 0n;
        return { id: proposal.session, lane: on, stream, base: on.consumed, bought, n: 0, openedMs: door.clock.nowMs() };
      }
      stream.abort(new Error("not accepted"));
      if (reply?.t === "refused" && reply.consumed !== undefined) on.consumed = reply.consumed;
      else if (!reply || (reply.t === "refused" && forNow.test(reply.message))) await wait(300);
      else break;
    }
    throw new Error(`an honest proposal met ${JSON.stringify(met, text)}`);
  };
  const lose = () => {
    open?.stream.abort(new Error("over"));
    open = undefined;
  };
  const session = (validMs?: number): Promise<OpenSession> => {
    if (opening) return opening;
    if (open && validMs === undefined && door.clock.nowMs() - open.openedMs < freshMs) return Promise.resolve(open);
    lose();
    opening = enter(lane, { bytes: firstBytes, ms: 600_000 }, validMs).finally(() => {
      opening = undefined;
    });
    void opening.then(
      (opened) => {
        open = opened;
      },
      () => undefined,
    );
    return opening;
  };
  const next: Cheat["next"] = ({ lane: on, base, bought }, more = 1_000n) => {
    const wanted = { bytes: bought.bytes + more, ms: bought.ms };
    return { bought: wanted, promise: raised(on, base + due(door.prices, wanted)) };
  };
  const pay = async (): Promise<number> => {
    const now = await session();
    const purchase = next(now);
    now.n += 1;
    taken(now.lane, purchase.promise);
    const beganMs = performance.now();
    await now.stream.send(frameOf({ t: "promise", n: now.n, ...purchase }));
    const reply = await within(replyOn(now.stream), replyMs, "PEER_TIMEOUT", "the exit's answer");
    if (reply?.t !== "ack") throw new Error(`an honest promise met ${JSON.stringify(reply, text)}`);
    now.bought = purchase.bought;
    now.lane.sure = purchase.promise.cumulative;
    return performance.now() - beganMs;
  };
  const begin = async (header: Uint8Array): Promise<Verdict> => {
    const stream = await payer.connect();
    try {
      await stream.write(header);
      const { code } = await within(prefixedReader(stream, replyCodec, maxReply).first(), replyMs, "PEER_TIMEOUT", "the exit's answer");
      return code === "session" ? "refused" : "accepted";
    } catch (error) {
      return isMystError(error, "PEER_TIMEOUT") ? "silent" : "dropped";
    } finally {
      stream.abort(new Error("tried"));
    }
  };
  const attempt = async ({ on, frame }: Attack): Promise<Verdict> => {
    if (on === "connection") return begin(frame);
    const stream = on === "session" ? (await session()).stream : await payer.open();
    await stream.send(frame).catch(() => undefined);
    const verdict = await within(replyOn(stream), replyMs, "PEER_TIMEOUT", "the exit's answer").then(verdictOf, () => "silent" as const);
    if (on === "stream") stream.abort(new Error("tried"));
    // a proposal that is looked at ends what was before; what it was accepted with is not honest any more
    if (on === "stream" || verdict !== "refused") lose();
    return verdict;
  };

  // paid more on than its sessions' own, so that its promises would cover what is bought there
  if (payer.standing === "open") {
    const begun = await enter(other, { bytes: first.bytes, ms: 1_200_000 });
    await first.use?.(begun);
    begun.stream.abort(new Error("over"));
  }
  return {
    ...{ payer, door, lane, other, session, lose, next, sign, pay, attempt, paid: (promise) => taken(lane, promise) },
    owed: () => new Map([lane, other].flatMap(({ channel, sure, last }) => (last ? [[channel, [sure, last.cumulative]]] : []))),
    proposed: () => proposed,
    proposal: (change = {}, termsOver = {}) => proposalOn(lane, change.bought ?? { bytes: firstBytes, ms: 600_000 }, change, termsOver),
  };
}

const text = (_: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value);
