import { setTimeout as wait } from "node:timers/promises";
import { createIdentity, type Identity } from "../../../src/identity/identity.ts";
import type { FrameStream } from "../../../src/network/network.ts";
import { clearingDomain, termsDigest } from "../../../src/payments/eip712.ts";
import { channelId, newSalt, signPromise } from "../../../src/payments/promise.ts";
import { maxSessionFrame, sessionProtocol, toConsumerCodec, toProviderCodec } from "../../../src/session/messages.ts";
import { termsData } from "../../../src/session/server.ts";
import { startPeer, type TestPeer } from "../../net/support.ts";

/**
 * Payers in a process of their own, so that the exit's CPU is measured alone: forked, told where the exit is, then to pay or to have the
 * same bytes echoed, and over when their parent is. Promises are signed before they are sent off.
 */
type Exit = { exit: string; address: `0x${string}`; addresses: string[] };
export type ToPayers = Exit | { rounds: number; of: "promises" | "echo"; everyMs: number };
export type FromPayers = { signers: string[] } | { ready: true } | { done: number };

export const clearing = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });
/** one unit a byte */
export const streamPrices = { perHour: 0n, perGiB: 1n << 30n };
export const echoProtocol = "echo/1.0.0";
export const sessionsAtOnce = 100;
/** what an acknowledgement comes to, which is what the echo sends back */
export const ackBytes = toConsumerCodec.encode({ t: "ack", n: 1_000 }).length;
const step = 1_000n;

type Paying = { identity: Identity; channel: `0x${string}`; session: FrameStream; echo: FrameStream; n: number };

if (process.send) {
  const say = (message: FromPayers) => process.send?.(message);
  const identities = Array.from({ length: sessionsAtOnce }, (_, i) => createIdentity(new Uint8Array(32).fill(i + 100)));
  const peers = await Promise.all(identities.map((identity) => startPeer({ identity, gossip: false, dht: false, listen: [] })));
  const paying: Paying[] = [];

  const open = async (to: Exit, { network, identity }: TestPeer, i: number): Promise<Paying> => {
    const { exit, address } = to;
    const signal = AbortSignal.timeout(20_000);
    await network.connect(exit, to.addresses, signal);
    const salt = newSalt();
    const id = new Uint8Array(16).fill(i + 1);
    const channel = channelId(address, salt);
    const terms = { ...streamPrices, quantum: 1n << 80n, validUntilMs: Date.now() + 3_600_000 };
    const session = await network.openFrames(exit, sessionProtocol, signal, { maxFrame: maxSessionFrame });
    await session.send(
      toProviderCodec.encode({
        t: "propose",
        session: id,
        service: "units",
        ...terms,
        signer: identity.address,
        salt,
        termsSignature: identity.sign(termsDigest(clearing, termsData(id, identity.address, channel, terms))),
        consumed: 0n,
        ...purchase(identity, channel, 1),
      }),
    );
    const answer = toConsumerCodec.decode((await session.receive(signal)) ?? new Uint8Array());
    if (answer.t !== "accepted") throw new Error(`the exit says ${JSON.stringify(answer, (_, v) => (typeof v === "bigint" ? `${v}` : v))}`);
    return { identity, channel, session, echo: await network.openFrames(exit, echoProtocol, signal), n: 1 };
  };
  const purchase = (identity: Identity, channel: `0x${string}`, n: number) => {
    const cumulative = BigInt(n) * step;
    const seq = (BigInt(Date.now()) << 20n) + BigInt(n);
    return {
      bought: { bytes: cumulative, ms: 0 },
      promise: signPromise(clearing, identity, { channel, cumulative, total: cumulative, seq }),
    };
  };
  const signed = (of: Paying): Uint8Array => {
    of.n += 1;
    return toProviderCodec.encode({ t: "promise", n: of.n, ...purchase(of.identity, of.channel, of.n) });
  };
  const answered = async (stream: FrameStream, of: "promises" | "echo"): Promise<void> => {
    for (;;) {
      const frame = await stream.receive();
      if (!frame) throw new Error("the exit has ended the stream");
      if (of === "echo") return;
      const message = toConsumerCodec.decode(frame);
      if (message.t === "ack") return;
      if (message.t !== "invoice") throw new Error(`the exit says ${message.t}`);
    }
  };
  process.on("message", async (message: ToPayers) => {
    if ("exit" in message) {
      // one after the other: an exit takes so many at once from one address, and no more
      for (const [i, peer] of peers.entries()) paying.push(await open(message, peer, i));
      return say({ ready: true });
    }
    const frames = paying.map((each) => Array.from({ length: message.rounds }, () => signed(each)));
    if (message.of === "echo") for (const each of paying) each.n -= message.rounds;
    say({ ready: true });
    await Promise.all(
      paying.map(async (each, i) => {
        const stream = message.of === "echo" ? each.echo : each.session;
        // one at a time, as a session has it, and the streams in turns
        const beganMs = performance.now() + (i * message.everyMs) / sessionsAtOnce;
        for (const [n, frame] of (frames[i] ?? []).entries()) {
          const earlyMs = beganMs + n * message.everyMs - performance.now();
          if (earlyMs > 0) await wait(earlyMs);
          await stream.send(frame);
          await answered(stream, message.of);
        }
      }),
    );
    say({ done: message.rounds * paying.length });
  });
  process.on("disconnect", async () => {
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    process.exit(0);
  });
  process.on("SIGINT", () => undefined);
  say({ signers: identities.map(({ address }) => address) });
}
