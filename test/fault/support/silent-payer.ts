import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { FrameStream } from "../../../src/network/network.ts";
import { clearingDomain, termsDigest } from "../../../src/payments/eip712.ts";
import { channelId, newSalt, type SignedPromise, signPromise } from "../../../src/payments/promise.ts";
import type { AccountView } from "../../../src/payments/settlement.ts";
import { due, type Terms, type Usage } from "../../../src/payments/terms.ts";
import { createProxyConsumer } from "../../../src/services/proxy/consumer.ts";
import { createProxyProvider } from "../../../src/services/proxy/provider.ts";
import { socksConnect } from "../../../src/services/proxy/socks-client.ts";
import type { ServiceProvider } from "../../../src/services/service.ts";
import { maxSessionFrame, sessionProtocol, type ToConsumer, toConsumerCodec, toProviderCodec } from "../../../src/session/messages.ts";
import type { ProviderState } from "../../../src/session/provider.ts";
import { termsData } from "../../../src/session/server.ts";
import { startPeer, type TestPeer } from "../../net/support.ts";
import { composeExit } from "../../support/exit-rig.ts";
import { counting, startTarget } from "../../support/proxy-rig.ts";

const clock = systemClock;
const log = silentLogger;
const domain = clearingDomain({ chainId: 31337, contract: `0x${"11".repeat(20)}` });
const rich = 1n << 80n;
export const terms: Terms = { perHour: 3_600_000n, perGiB: 1n << 30n, quantum: 1n << 30n, validUntilMs: Date.now() + 3_600_000 };

export type OpenExit = AsyncDisposable & { peer: TestPeer; sessions(): ProviderState[] };

/** An exit on a real peer, with its real proxy behind `change`; its chain knows every payer as rich. */
export async function openExit(change: (provider: ServiceProvider) => ServiceProvider = (provider) => provider): Promise<OpenExit> {
  const peer = await startPeer({ gossip: false, dht: false });
  const { network, identity, store } = peer;
  const provider = createProxyProvider({ network, log, clock }, { allow: ["127.0.0.0/8"], block: [] });
  const readAccount = async (owner: AccountView["owner"]): Promise<AccountView> => ({
    ...{ balance: rich, line: rich, bond: rich, closeAtMs: undefined, owner, readAtMs: clock.nowMs() },
  });
  const limits = { maxUnsettled: rich, minBond: 0n };
  const services = [{ service: change(provider), ...terms }];
  const { server } = await composeExit({ network, store, identity, domain, services, readAccount, limits, maxSessions: 10 });
  return {
    peer,
    sessions: () => server.sessions().map((session) => session.state()),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await provider[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
    },
  };
}

export type SilentPayer = AsyncDisposable & {
  promise: SignedPromise;
  /** Sends another purchase, with the one promise there is. */
  buyAgain(n: number, bought: Usage): Promise<void>;
  /** what the exit has said */
  said: ToConsumer[];
  /** Pulls (and pushes) through so many further connections, as hard as it can. */
  pull(connections: number): Promise<void>;
  /** bytes that came to it and bytes that its targets got, together */
  gained(): bigint;
};

/** A consumer that pays once, in its proposal, and never again; it speaks the protocol itself and minds no meter. */
export async function payOnce(exit: OpenExit, bought: Usage): Promise<SilentPayer> {
  await using undo = new AsyncDisposableStack();
  const { network, identity } = undo.use(await startPeer({ gossip: false, dht: false, listen: [] }));
  const to = exit.peer.network.peerId;
  await network.connect(to, exit.peer.network.addresses(), AbortSignal.timeout(10_000));
  const session = Uint8Array.from(randomBytes(16));
  const salt = newSalt();
  const channel = channelId(exit.peer.identity.address, salt);
  const cumulative = due(terms, bought);
  const promise = signPromise(domain, identity, { channel, cumulative, total: cumulative, seq: BigInt(clock.nowMs()) << 20n });
  const stream = await network.openFrames(to, sessionProtocol, AbortSignal.timeout(10_000), { maxFrame: maxSessionFrame });
  undo.defer(() => stream.close());
  await stream.send(
    toProviderCodec.encode({
      ...{ t: "propose", session, service: "proxy", ...terms, signer: identity.address, salt, consumed: 0n, bought, promise },
      termsSignature: identity.sign(termsDigest(domain, termsData(session, identity.address, channel, terms))),
    }),
  );
  const first = toConsumerCodec.decode((await stream.receive()) ?? new Uint8Array());
  if (first.t !== "accepted") throw new Error(`the exit said ${JSON.stringify(first)}`);
  const said: ToConsumer[] = [first];
  void listen(stream, said);

  const proxy = createProxyConsumer({ network, log, clock }, { listen: "127.0.0.1:0" });
  const handle = await proxy.open({
    ...{ sessionId: Buffer.from(session).toString("hex"), peer: to, connection: first.connection },
    ...{ onUsage: () => undefined, signal: new AbortController().signal },
  });
  undo.defer(async () => void (await handle.close()));
  const flood = undo.use(await startTarget(push));
  const counts: (() => number)[] = [];
  const sockets = new Set<Socket>();
  undo.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  const opened = undo.move();
  return {
    promise,
    said,
    buyAgain: (n, more) => stream.send(toProviderCodec.encode({ t: "promise", n, bought: more, promise })),
    pull: async (connections) => {
      const open = async () => {
        const socket = await socksConnect({ host: "127.0.0.1", port: flood.port, socks: handle.endpoint.socks ?? "" });
        socket.on("error", () => undefined);
        sockets.add(socket);
        counts.push(counting(socket));
        push(socket);
      };
      await Promise.all(Array.from({ length: connections }, open));
    },
    gained: () => BigInt(counts.reduce((sum, count) => sum + count(), 0) + flood.received()),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const block = Buffer.alloc(64 * 1024, "x");

/** Writes as long as the socket takes it. */
export function push(socket: Socket): void {
  const more = () => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.resume();
  socket.on("drain", more);
  more();
}

async function listen(stream: FrameStream, said: ToConsumer[]): Promise<void> {
  try {
    for (let frame = await stream.receive(); frame; frame = await stream.receive()) said.push(toConsumerCodec.decode(frame));
  } catch {
    // it is over
  }
}
