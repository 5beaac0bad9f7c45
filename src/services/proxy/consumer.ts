import type { Clock } from "../../lib/clock.ts";
import { asMystError, MystError } from "../../lib/errors.ts";
import { deadline, within } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { ByteStream, Network } from "../../network/network.ts";
import type { Opening, ServiceConsumer, ServiceHandle } from "../service.ts";
import { consumerPatience, createUnanswered } from "../unanswered.ts";
import { type ClientConnection, carryClient } from "./client-connection.ts";
import { type ClientDatagramDeps, carryClientDatagrams, openAssociation } from "./client-datagrams.ts";
import { createConsumerControl } from "./consumer-control.ts";
import { createLocalServer } from "./local-server.ts";
import { controlProtocol, headerCodec, maxReply, prefixed, prefixedReader, replyCodec, sessionBytes, streamProtocol } from "./protocol.ts";
import { createStanding, type Standing } from "./standing.ts";
import { createUsage, type UsageCount } from "./usage.ts";
import type { Wanted } from "./wanted.ts";

export type ProxyConsumerDeps = {
  network: Pick<Network, "openBytes" | "openFrames">;
  log: Logger;
  clock: Pick<Clock, "nowMs">;
};

export type ProxyConsumerOptions = {
  /** where programs find the proxy: "127.0.0.1:1080"; port 0 is any that is free */
  listen: string;
  /** let it listen where other machines reach it; default false */
  allowRemote?: boolean;
  /** a program has so long for its handshake; default 10 s */
  handshakeMs?: number;
  /** the exit has so long to say whether a connection stands; default 20 s */
  requestMs?: number;
  /** the server stays from one session to the next, until `release`; what comes in between waits; default false */
  stays?: boolean;
  /** at the end, what is under way is counted until nothing has come for so long; default 2 s */
  closeMs?: number;
};

const lingerMs = 10_000;
/** what is asked for between two sessions waits so long for the next */
const betweenMs = 10_000;
/** the end of a session takes no longer, whatever still comes */
const closeAtMostMs = 10_000;

/**
 * The consumer of the `proxy` service: a SOCKS5 and HTTP proxy on this machine, one stream to the exit a connection. Names go to the
 * exit as they are. `open` throws BAD_VALUE for what it cannot listen on, PORT_IN_USE.
 */
export function createProxyConsumer(deps: ProxyConsumerDeps, options: ProxyConsumerOptions): ServiceConsumer {
  const standing = createStanding({ open: (on) => createLocalServer(listening(options), on), waitMs: betweenMs });
  return {
    kind: "proxy",
    check: async () => (standing.stands() ? undefined : tryListening(options)),
    open: (opening) => openProxy({ ...deps, standing }, options, opening),
    release: standing.close,
  };
}

const listening = ({ listen, allowRemote = false, handshakeMs = 10_000 }: ProxyConsumerOptions) => ({ listen, allowRemote, handshakeMs });

async function tryListening(options: ProxyConsumerOptions): Promise<void> {
  const server = await createLocalServer(listening(options), {
    connection: ({ end }) => end.destroy(),
    datagrams: ({ socket }) => socket.destroy(),
  });
  server.stop();
  await server.close();
}

async function openProxy(
  deps: ProxyConsumerDeps & { standing: Standing },
  options: ProxyConsumerOptions,
  opening: Opening,
): Promise<ServiceHandle> {
  const { network, log, clock, standing } = deps;
  const { requestMs = 20_000, closeMs = 2_000, stays = false } = options;
  const { peer, sessionId, signal } = opening;
  const usage: UsageCount = createUsage(opening.onUsage);
  const connections = new Map<number, ClientConnection>();
  const running = new Set<Promise<void>>();
  const unanswered = createUnanswered({ clock }, consumerPatience);
  let lastId = 0;
  let closing: Promise<bigint> | undefined;

  const control = createConsumerControl({
    open: (until) => network.openFrames(peer, controlProtocol, until),
    sessionId,
    onUp: (total) => unanswered.carriedUp(usage.carriedUp(total)),
    onReset: (id) => connections.get(id)?.reset(),
    log,
  });

  const nextId = () => {
    lastId += 1;
    return lastId;
  };
  const run = (work: Promise<void>) => {
    running.add(work);
    void work.finally(() => running.delete(work));
  };
  const onUp = (id: number, bytes: number) => {
    unanswered.asked(id);
    usage.sent(bytes);
  };
  const onDown = (bytes: number) => {
    unanswered.answered();
    usage.received(bytes);
  };

  /** Whether it is asked for again, of whichever session comes: the exit did not get round to it, and the program has heard nothing. */
  const again = (wanted: Wanted, error: unknown) =>
    stays && ["PEER_UNREACHABLE", "PEER_TIMEOUT", "INTERRUPTED"].includes(asMystError(error).code) && standing.again(wanted);

  /** From the program's request to the connection's end. Never throws. */
  const serve = async (id: number, wanted: Wanted) => {
    const given = new AbortController();
    const giveUp = () => given.abort(new Error("the connection is not wanted any more"));
    let reset = false;
    const early = () => {
      reset = true;
    };
    connections.set(id, { reset: early, stop: () => (stays ? giveUp() : wanted.end.destroy()), abort: giveUp });
    unanswered.asked(id);
    const settled = () => unanswered.settled(id);
    wanted.end.once("close", settled);
    control.ensure();
    // what was said once may not be said again
    let answered = false;
    const answer: Wanted["answer"] = (code) => {
      if (!answered) wanted.answer(code);
      answered = true;
    };
    try {
      const stream = await network.openBytes(peer, streamProtocol, deadline(requestMs, given.signal));
      given.signal.addEventListener("abort", () => stream.abort(given.signal.reason), { once: true });
      try {
        const connection = await request(id, { ...wanted, answer }, stream);
        // word of a reset may overtake the answer
        if (reset) connection?.reset();
        await connection?.done;
      } catch (error) {
        stream.abort(error as Error);
        throw error;
      }
    } catch (error) {
      log.debug("a connection failed", { reason: (error as Error).message });
      if (answered || !again(wanted, given.signal.aborted ? new MystError("INTERRUPTED", "the session is over") : error)) answer("failed");
    } finally {
      settled();
      wanted.end.off("close", settled);
      connections.delete(id);
    }
  };
  /** Asks the exit for the connection; undefined when it cannot be had, which the program has then been told. */
  const request = async (id: number, { host, port, end, answer }: Wanted, stream: ByteStream) => {
    const reader = prefixedReader(stream, replyCodec, maxReply);
    await stream.write(prefixed(headerCodec, { session: sessionBytes(sessionId), id, host, port }));
    const { code } = await within(reader.first(), requestMs, "PEER_TIMEOUT", "the exit's answer");
    if (code === "session" && stays) throw new MystError("PEER_UNREACHABLE", "the exit has no such session");
    if (code !== "ok") {
      log.debug("the exit refused a connection", { code });
      answer(code);
      await stream.closeWrite();
      return undefined;
    }
    answer("ok");
    const told = { onUp: (bytes: number) => onUp(id, bytes), onUpEnd: () => unanswered.settled(id), onDown };
    const connection = carryClient({ socket: end, stream, incoming: reader.rest(), control, ...told }, { id, lingerMs });
    connections.set(id, connection);
    return connection;
  };

  const datagrams: ClientDatagramDeps = {
    ...{ nextId, connections, control, onDown },
    open: async (id) => {
      control.ensure();
      return openAssociation({ network, peer, sessionId }, id, deadline(requestMs, signal));
    },
    onUp: (id, count) => {
      onUp(id, count);
      // nobody sees whether an answer is waited for
      unanswered.settled(id);
    },
  };

  const close = async (alone: boolean) => {
    server.stop();
    for (const connection of [...connections.values()]) connection.stop();
    if (!alone) {
      const idle = whenIdle(usage.usedBytes, closeMs);
      await Promise.race([Promise.all([control.stopAll(idle.signal), ...running]), idle.over]);
      idle.stop();
    }
    for (const connection of [...connections.values()]) connection.abort(new Error("the session has ended"));
    control.close();
    await Promise.all([...running, stays ? server.close() : standing.close()]);
    return usage.usedBytes();
  };
  const closeOnce = (alone = false) => {
    closing ??= close(alone);
    return closing;
  };

  signal.throwIfAborted();
  const server = await standing.lease({
    connection: (wanted) => run(serve(nextId(), wanted)),
    datagrams: (wanted) => run(carryClientDatagrams(datagrams, wanted, { lingerMs })),
  });
  signal.addEventListener("abort", () => void closeOnce(), { once: true });
  if (signal.aborted) await closeOnce();
  control.ensure();
  return {
    usedBytes: usage.usedBytes,
    unanswered: unanswered.read,
    endpoint: { socks: server.address, http: server.address },
    close: closeOnce,
  };
}

/**
 * Says when a count has not risen for `idleMs`, by many short looks: between two of them what has come is read, however busy the machine.
 */
function whenIdle(count: () => bigint, idleMs: number) {
  const looks = 8;
  const given = new AbortController();
  const over = Promise.withResolvers<void>();
  const untilMs = performance.now() + closeAtMostMs;
  let last = count();
  let idle = 0;
  const stop = () => {
    clearInterval(timer);
    given.abort();
    over.resolve();
  };
  const timer = setInterval(() => {
    const now = count();
    idle = now === last ? idle + 1 : 0;
    last = now;
    if (idle >= looks || performance.now() > untilMs) stop();
  }, idleMs / looks);
  return { signal: given.signal, over: over.promise, stop };
}
