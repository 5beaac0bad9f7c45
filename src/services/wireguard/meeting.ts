import { networkInterfaces } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { cborCodec, fixedBytes } from "../../lib/codec.ts";
import { MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import { isPublic } from "../../network/diversity.ts";
import type { Network } from "../../network/network.ts";
import { type Nat, natOf, nats, type Place } from "../nat.ts";
import { type Greet, greetEveryMs, wirePlace } from "../seeing.ts";
import type { ExitTunnel, Greeting, WgKey } from "./types.ts";

/** How the two ends of a session find a way to each other's WireGuard: docs/protocol.md, "Meeting". */
export const meetProtocol = "meet/1.0.0";
const maxFrame = 256;
/** that an exit begins to punch so much later than it answers, so that both begin at once */
const startMs = 250;
const punchMs = 5_000;
const againMs = 1_000;
const relayMs = 8_000;
const lookMs = 6_000;
/** an exit's NAT gives it the same place for so long, while it sends */
const keepMs = 10_000;
/** of one session: its ways are few */
const mostQuestions = 12;

const session = fixedBytes(16);
const question = z.discriminatedUnion("t", [
  /** where are you seen? */
  z.strictObject({ t: z.literal("look"), session }),
  /** send to me there, from then on */
  z.strictObject({ t: z.literal("punch"), session, at: wirePlace }),
  /** greet that relay with this key: I shall come from there */
  z.strictObject({ t: z.literal("relay"), session, at: wirePlace, key: fixedBytes(32) }),
]);
const looked = z.strictObject({ nat: z.enum(nats as [Nat, ...Nat[]]), at: wirePlace.optional() });
const punching = z.strictObject({ inMs: z.int().min(0).max(5_000) });
export const questionCodec = cborCodec(question, maxFrame);
export const lookedCodec = cborCodec(looked, maxFrame);
export const punchingCodec = cborCodec(punching, maxFrame);

/** Addresses of this machine's own interfaces. */
export const interfaceAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));

/** Where two peers see the socket that this greets from; fewer where fewer could be asked. */
export type See = (greet: Greet, signal: AbortSignal) => Promise<Place[]>;

export type MeetingDeps = {
  network: Pick<Network, "answer">;
  tunnel: Pick<ExitTunnel, "listenPort" | "greet" | "reach" | "counters">;
  /** the client of this session, where it is that peer's */
  keyOf(session: string, peer: string): WgKey | undefined;
  see: See;
  log: Logger;
};

/** The exit's side: says where it is seen, and sends to where its client says that it is. */
export function answerMeetings({ network, tunnel, keyOf, see, log }: MeetingDeps): Promise<void> {
  const asked = new Map<string, number>();
  let looking: { untilMs: number; seen: Promise<Place[]> } | undefined;
  const greet: Greet = (key, endpoint) => tunnel.greet({ publicKey: Buffer.from(key).toString("base64"), endpoint });
  const look = () => {
    if (looking && performance.now() < looking.untilMs) return looking.seen;
    const seen = see(greet, deadline(lookMs));
    looking = { untilMs: performance.now() + keepMs, seen };
    seen.catch(() => {
      looking = undefined;
    });
    return seen;
  };
  /** Does it again and again until the client has shaken hands; then the way is kept open from here, too. */
  const until = async (key: WgKey, everyMs: number, forMs: number, again: () => Promise<void>) => {
    const before = tunnel.counters(key).handshakeMs;
    const isUp = () => tunnel.counters(key).handshakeMs > before;
    for (const endMs = performance.now() + forMs; !isUp() && performance.now() < endMs; ) {
      await again();
      for (const nextMs = performance.now() + everyMs; !isUp() && performance.now() < nextMs; ) await wait(20);
    }
    if (isUp()) await tunnel.reach(key);
  };
  const later = (work: Promise<unknown>) => work.catch((error) => log.debug("a client was not met", { error: (error as Error).message }));

  return network.answer(meetProtocol, { maxQuestion: maxFrame, maxAnswer: maxFrame }, async (bytes, from) => {
    const read = questionCodec.decode(bytes);
    const id = Buffer.from(read.session).toString("hex");
    const key = keyOf(id, from);
    if (key === undefined) throw new MystError("SESSION_UNKNOWN", "no such session of this peer");
    const count = (asked.get(id) ?? 0) + 1;
    if (count > mostQuestions) throw new MystError("PEER_REFUSED", "too many questions");
    asked.delete(id);
    asked.set(id, count);
    if (asked.size > 1024) asked.delete(asked.keys().next().value ?? "");
    if (read.t === "look") {
      const seen = await look();
      const nat = natOf(seen, { addresses: interfaceAddresses(), port: tunnel.listenPort });
      return Uint8Array.from(lookedCodec.encode({ nat, ...(seen[0] && { at: seen[0] }) }));
    }
    // a client must not have us send to what is behind our own firewall
    if (!isPublic(`/ip4/${read.at.address}`)) throw new MystError("MALFORMED", "that is no address on the internet");
    if (read.t === "punch") {
      void later(wait(startMs).then(() => until(key, againMs, punchMs, () => tunnel.reach(key, read.at))));
      return Uint8Array.from(punchingCodec.encode({ inMs: startMs }));
    }
    void later(until(key, greetEveryMs, relayMs, () => greet(Uint8Array.from(read.key), read.at)));
    return new Uint8Array();
  });
}

/** How a client has come to its exit; `close` ends what is paid for it beside the exit, `failed` resolves when that has ended by itself. */
export type Met = { how: "punched" | "relayed"; at: Place; close(): Promise<void>; failed?: Promise<MystError> };

/** The client's side: brings the tunnel up by whatever way is found. @throws TUNNEL_FAILED, and what asking fails with */
export type Meet = (
  exit: { peer: string; sessionId: string; signal: AbortSignal },
  tunnel: {
    greet(greetings: Greeting[]): Promise<{ listenPort: number }>;
    up(to: Place, punch: boolean): Promise<void>;
    counters(): { rxBytes: bigint; txBytes: bigint };
  },
) => Promise<Met>;
