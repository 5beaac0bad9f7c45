import { randomBytes } from "node:crypto";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { termsDigest } from "../../../../src/payments/eip712.ts";
import { channelId } from "../../../../src/payments/promise.ts";
import { due } from "../../../../src/payments/terms.ts";
import { headerCodec, prefixed } from "../../../../src/services/proxy/protocol.ts";
import type { Proposal } from "../../../../src/session/messages.ts";
import { checkProposal, termsData } from "../../../../src/session/server.ts";
import { type Attack, type Cheat, frameOf } from "./cheat.ts";
import type { Kind } from "./kinds.ts";
import { proposals, reading, refusing, wireOf } from "./without.ts";

const propose = (proposal: Proposal): Attack => ({ on: "stream", frame: frameOf(proposal) });

const priceZero: Kind["forge"] = (cheat, random) => {
  const { perHour, perGiB } = cheat.door.prices;
  const prices = random.of([
    { perHour: 0n, perGiB: 0n },
    { perHour: 0n, perGiB },
    { perHour, perGiB: 0n },
    { perHour, perGiB: perGiB - 1n },
    { perHour: perHour - 1n, perGiB },
    { perHour: random.big(50) % perHour, perGiB: random.big(50) % perGiB },
  ]);
  const bought = { bytes: random.big(60) + 1n, ms: random.int(1e9) + 1 };
  const free = prices.perHour + prices.perGiB === 0n;
  return propose(cheat.proposal({ ...prices, ...(free && { bought, promise: undefined }) }));
};

/** The payer's consent to something else than what it proposes. */
const othersTerms: Kind["forge"] = (cheat, random) => {
  const { perHour, perGiB } = cheat.door.prices;
  const over = random.of<Partial<Proposal>>([
    { session: random.bytes(16) },
    { salt: random.bytes(12) },
    { perGiB: perGiB - 1n },
    { perHour: perHour + 1n },
    { quantum: random.big(60) },
    { validUntilMs: cheat.door.clock.nowMs() + 7_200_000 },
    { signer: `0x${Buffer.from(random.bytes(20)).toString("hex")}` },
  ]);
  const last = cheat.proposed();
  const replayed = last.length > 0 ? (wireOf(last).termsSignature as Uint8Array) : undefined;
  return random.int(4) === 0 && replayed ? propose({ ...cheat.proposal(), termsSignature: replayed }) : propose(cheat.proposal({}, over));
};

const dayMs = 86_400_000;
const staleTerms: Kind["forge"] = async (cheat, random) => {
  const nowMs = cheat.door.clock.nowMs();
  // agreed on for a moment only, and paid under after it; a busy machine may take longer to agree
  const { shortMs, clock } = cheat.door;
  const session = random.int(50) === 0 ? await cheat.session(shortMs).catch(() => undefined) : undefined;
  if (session) {
    while (clock.nowMs() < session.openedMs + shortMs) await systemClock.sleep(50);
    const { bought, promise } = cheat.next(session);
    session.n += 1;
    return { on: "session", frame: frameOf({ t: "promise", n: session.n, bought, promise }) };
  }
  const validUntilMs = random.of([
    0,
    Math.max(0, nowMs - 1_000 - random.int(1e9)),
    nowMs + 9 * dayMs + random.int(1e9),
    Number.MAX_SAFE_INTEGER,
  ]);
  return propose(cheat.proposal({ validUntilMs }));
};

const closing: Kind["forge"] = (cheat, random) => {
  const bytes = 1n + random.big(20);
  return propose(cheat.proposal({ bought: { bytes, ms: 1 + random.int(600_000) } }));
};

const strangers = Array.from({ length: 8 }, () => createIdentity(randomBytes(32)));
/** Nothing is wrong with it but the peer that it comes from. */
const fromElsewhere: Kind["forge"] = async (cheat, random, victim) => {
  await victim.session();
  const { exit, prices } = cheat.door;
  const salt = random.bytes(12);
  const { bought, promise: last } = victim.proposal();
  const cumulative = due(prices, bought);
  const seq = (last?.seq ?? 0n) + 1n;
  const content = { channel: channelId(exit.address, salt), cumulative, total: (last?.total ?? 0n) + cumulative, seq };
  return propose(victim.proposal({ salt, consumed: 0n, promise: victim.sign(content) }));
};
/** Another's proposal, to the letter or made up, from a peer that is not that other. */
const notThePeer: Kind["forge"] = async (cheat, random, victim) => {
  await victim.session();
  const { domain } = cheat.door;
  const signedBy = (by: Cheat["payer"]["identity"], proposal: Proposal): Proposal => {
    const { session, signer, ...terms } = proposal;
    return { ...proposal, termsSignature: by.sign(termsDigest(domain, termsData(session, signer, victim.lane.channel, terms))) };
  };
  const own = cheat.payer.identity;
  const stranger = random.of(strangers);
  const captured = victim.proposal({ promise: victim.lane.last, session: random.bytes(16) });
  return random.of([
    (): Attack => ({ on: "stream", frame: victim.proposed() }),
    () => propose(captured),
    () => fromElsewhere(cheat, random, victim),
    () => propose(signedBy(own, captured)),
    () => propose({ ...cheat.proposal(), signer: victim.payer.identity.address }),
    () => propose(signedBy(stranger, { ...cheat.proposal(), signer: stranger.address })),
  ])();
};

/** The id of a session that is another's, and open: for a session of one's own, and for connections at the other's expense. */
const wrongSession: Kind["forge"] = async (cheat, random, victim) => {
  const { id } = await victim.session();
  const header = { session: id, id: random.int(2 ** 32), host: "127.0.0.1", port: 1 + random.int(65_535) };
  return random.of([
    () => propose(cheat.proposal({ session: id })),
    (): Attack => ({ on: "connection", frame: prefixed(headerCodec, header) }),
    (): Attack => ({ on: "connection", frame: prefixed(headerCodec, { ...header, session: random.bytes(16) }) }),
  ])();
};

const second: Kind["forge"] = async (cheat, random) => {
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(16) + 1n);
  const free = { perHour: 0n, perGiB: 0n };
  const change = random.of<Partial<Proposal>>([
    { bought, promise },
    { ...free, bought, promise },
    { session: session.id, bought, promise },
    { salt: random.bytes(12), bought, promise },
    { ...free, bought: { bytes: 1n << 60n, ms: 1 }, promise: undefined },
  ]);
  return { on: "session", frame: frameOf(cheat.proposal({ ...change, consumed: session.base })) };
};

/** What is tried with proposals. */
export const proposalKinds: Kind[] = [
  {
    name: "forged price 0",
    forge: priceZero,
    control: () => ({
      check: (deps, { services, ...options }, proposal, peer) =>
        checkProposal(deps, { ...options, services: services.map((one) => ({ ...one, perHour: 0n, perGiB: 0n })) }, proposal, peer),
    }),
  },
  { name: "terms of another session", forge: othersTerms, control: () => ({ check: proposals(/not signed/) }) },
  { name: "stale terms", forge: staleTerms, control: () => ({ check: proposals(/not valid now/) }) },
  { name: "closing account", standing: "closing", forge: closing, control: () => ({ ledger: refusing("closing") }) },
  {
    ...{ name: "signer is not the peer", forge: notThePeer, forgeForControl: fromElsewhere },
    control: () => ({ check: proposals(/another than the peer/) }),
  },
  { name: "wrong session", forge: wrongSession, control: () => ({ peerOf: () => "anybody" }) },
  {
    name: "second proposal",
    forge: second,
    control: () => {
      const seen = new WeakSet<object>();
      return {
        // it takes a second one for a purchase
        stream: (stream) => {
          const mended = reading((wire) => {
            if (wire.t !== "propose" || !seen.has(stream)) {
              seen.add(stream);
              return wire;
            }
            return { t: "promise", n: 1, bought: wire.bought, ...(wire.promise !== undefined && { promise: wire.promise }) };
          });
          return mended(stream);
        },
      };
    },
  },
];
