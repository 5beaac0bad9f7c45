import { setTimeout as wait } from "node:timers/promises";
import { within } from "../../../../src/lib/lifecycle.ts";
import type { FrameStream } from "../../../../src/network/network.ts";
import { due } from "../../../../src/payments/terms.ts";
import { headerCodec, maxReply, prefixed, prefixedReader, replyCodec } from "../../../../src/services/proxy/protocol.ts";
import type { Proposal } from "../../../../src/session/messages.ts";
import { type Random, randomOf } from "../../../support/random.ts";
import { type Cheat, frameOf, openCheat, replyOn } from "./cheat.ts";
import type { Door, Payer } from "./door.ts";

export type Gained = {
  tried: number;
  /** base units: what was carried for all cheats, less what they have paid */
  gainOverBound: bigint;
  problems: string[];
};

const MiB = 1n << 20n;
const quietMs = 80;
/** nothing that is tried takes longer */
const mostMs = 30_000;
/** bytes: of a session that is paid for, to be had more than once */
const stake = 256n * 1024n;

/** Counts what the exit carries for a cheat, of however many sessions. */
function puller(payer: Payer, target: { port: number }, random: Random) {
  let gained = 0n;
  /** Through so many connections of a session, until nothing more comes. */
  const pull = async (session: Uint8Array, connections = 2) => {
    let lastMs = performance.now();
    const streams = await Promise.all(
      Array.from({ length: connections }, async () => {
        const stream = await payer.connect();
        const read = async () => {
          await stream.write(prefixed(headerCodec, { session, id: random.int(2 ** 32), host: "127.0.0.1", port: target.port }));
          const reader = prefixedReader(stream, replyCodec, maxReply);
          const { code } = await reader.first();
          if (code !== "ok") return;
          for await (const chunk of reader.rest()) {
            gained += BigInt(chunk.length);
            lastMs = performance.now();
          }
        };
        void read().catch(() => undefined);
        return stream;
      }),
    );
    const endMs = performance.now() + mostMs;
    while (performance.now() - lastMs < quietMs && performance.now() < endMs) await wait(10);
    for (const stream of streams) stream.abort(new Error("enough"));
  };
  return { pull, gained: () => gained };
}

/**
 * One payer after the other that comes back again and again for more than it has paid for: with what is used up, with one promise for
 * several sessions at once, cut off in the middle, on other channels, with another key.
 */
export async function reconnect(
  door: Door,
  { tries, target, seed, signal }: { tries: number; target: { port: number }; seed: string; signal?: AbortSignal },
): Promise<Gained> {
  const random = randomOf(seed);
  const found: Gained = { tried: 0, gainOverBound: 0n, problems: [] };
  await using payer = await door.payer();
  const { pull, gained } = puller(payer, target, random);
  const cheat = await openCheat(door, payer, { bytes: 2n * MiB, use: ({ id }) => pull(id) });
  await pull((await cheat.session()).id);

  const propose = async (proposal: Proposal, by = payer): Promise<{ stream: FrameStream; isOpen: boolean }> => {
    const stream = await by.open();
    await stream.send(frameOf(proposal));
    const reply = await replyOn(stream);
    return { stream, isOpen: reply?.t === "accepted" };
  };
  /** what is carried in whichever of these sessions there is */
  const take = async (proposals: Proposal[]) => {
    const opened = await Promise.all(
      proposals.map(async (proposal) => {
        const { stream, isOpen } = await propose(proposal);
        if (isOpen) await pull(proposal.session);
        return stream;
      }),
    );
    for (const stream of opened) stream.abort(new Error("over"));
  };
  const tricks: (() => Promise<void>)[] = [
    () => take([cheat.proposal({ consumed: 0n, promise: cheat.lane.last })]),
    () => take([cheat.proposal({ promise: cheat.lane.last, bought: { bytes: 1n + random.big(20), ms: 1 + random.int(1000) } })]),
    () => take([cheat.proposal({ promise: cheat.other.last, consumed: 0n })]),
    () => take([cheat.proposal({ promise: cheat.other.last, salt: random.bytes(12), consumed: 0n })]),
    () => take([cheat.proposal({ promise: undefined, salt: random.bytes(12), consumed: 0n })]),
    () => take([cheat.proposal({ promise: cheat.other.last, salt: cheat.other.salt, consumed: 0n })]),
    // what is paid for once, in several sessions at a time
    async () => {
      const paid = await fresh(cheat);
      await take(Array.from({ length: 2 + random.int(6) }, () => cheat.proposal({ ...paid, session: random.bytes(16) })));
    },
    // cut off while it is carried, and back at once as if nothing had been
    async () => {
      const paid = await fresh(cheat);
      const first = cheat.proposal(paid);
      const { stream, isOpen } = await propose(first);
      if (!isOpen) throw new Error("an honest proposal was not accepted");
      const carried = pull(first.session, 3);
      await wait(random.int(30));
      stream.abort(new Error("cut"));
      await take([cheat.proposal({ ...paid, session: random.bytes(16) })]);
      await carried;
    },
    // in a session that is used up: more, for what was promised already
    async () => {
      const session = await cheat.session();
      await pull(session.id);
      const bytes = session.bought.bytes + 1n + random.big(22);
      await session.stream.send(frameOf({ t: "received", bytes: random.big(64) }));
      await session.stream.send(frameOf({ t: "promise", n: 1, bought: { ...session.bought, bytes }, promise: cheat.lane.last }));
      await replyOn(session.stream);
      await pull(session.id);
      cheat.lose();
    },
    // a key that nobody has heard of
    async () => {
      await using stranger = await door.payer("none");
      const other = await openCheat(door, stranger);
      const proposal = other.proposal();
      const { stream, isOpen } = await propose(proposal, stranger);
      if (isOpen) await puller(stranger, target, random).pull(proposal.session);
      if (isOpen) found.problems.push("somebody without an account was let in");
      stream.abort(new Error("over"));
    },
  ];
  for (; found.tried < tries && !signal?.aborted; found.tried += 1) {
    cheat.lose();
    const trick = random.int(tricks.length);
    await within((tricks[trick] as () => Promise<void>)(), 2 * mostMs, "PEER_TIMEOUT", `trick ${trick}`).catch((error: Error) => {
      found.problems.push(`unpaid reconnects: ${error.message}`);
    });
  }
  cheat.lose();
  const held = [...(await door.held()).values()].filter(({ signer }) => signer === payer.identity.address);
  const paid = held.reduce((sum, { cumulative }) => sum + cumulative, 0n);
  found.gainOverBound = due(door.prices, { bytes: gained(), ms: 0 }) - paid;
  return found;
}

/** A proposal that pays for a stake more than what is used up, and knows of all that is: an honest one. */
async function fresh(cheat: Cheat): Promise<Pick<Proposal, "bought" | "promise" | "consumed">> {
  const { stream, base, lane } = await cheat.session();
  await stream.send(frameOf({ t: "close" }));
  const reply = await replyOn(stream);
  if (reply?.t !== "closed") throw new Error(`a close met ${reply?.t}`);
  cheat.lose();
  lane.consumed = base + due(cheat.door.prices, reply.used);
  const { bought, promise, consumed } = cheat.proposal({ bought: { bytes: stake, ms: 600_000 } });
  if (promise) cheat.paid(promise);
  return { bought, promise, consumed };
}
