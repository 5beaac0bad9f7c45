import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { asMystError, MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import { askByTcp, askByUdp, messages, type NameServer, prefixed } from "./dns-ask.ts";
import { failureFor, maxQuestionBytes, nameServers, questionOf } from "./dns-message.ts";
import { dnsPort } from "./types.ts";

export type DnsForwarderOptions = {
  /** of the gateway */
  address: string;
  /** default: `dnsPort`; 0: any free one */
  port?: number;
  /** whom to ask; default: those of /etc/resolv.conf */
  servers?: () => Promise<NameServer[]>;
  /** each server has so long; default 2 s */
  serverMs?: number;
  /** questions of one client that wait for an answer; default 64 */
  maxPerClient?: number;
  /** a client's connection without a question is ended after this; default 10 s */
  idleMs?: number;
};

export type DnsForwarder = AsyncDisposable & { port: number };

const maxInAll = 1_024;
const maxConnections = 256;
const serversFreshMs = 5_000;

/**
 * Answers the clients' DNS questions, over UDP and TCP: each message is passed on to the machine's name servers and its answer handed
 * back as it is. What is no plain question is dropped; who asks too much at a time is not answered.
 * @throws TUNNEL_FAILED where it cannot listen
 */
export async function serveDns(deps: { log: Logger; clock: Pick<Clock, "nowMs"> }, options: DnsForwarderOptions): Promise<DnsForwarder> {
  const { log } = deps;
  const { address, port = dnsPort, serverMs = 2_000, maxPerClient = 64, idleMs = 10_000 } = options;
  const servers = options.servers ?? systemServers(deps.clock);
  const waiting = new Map<string, number>();
  const connections = new Set<Socket>();
  let waitingInAll = 0;
  const stopped = new AbortController();

  /** The answer to hand back; undefined: none. */
  const answer = async (query: Uint8Array, client: string, ask: typeof askByUdp): Promise<Uint8Array | undefined> => {
    const question = query.length <= maxQuestionBytes ? questionOf(query, "query") : undefined;
    const mine = waiting.get(client) ?? 0;
    if (!question || mine >= maxPerClient || waitingInAll >= maxInAll) return undefined;
    waiting.set(client, mine + 1);
    waitingInAll += 1;
    try {
      for (const server of await servers()) {
        try {
          return await ask(server, query, question, deadline(serverMs, stopped.signal));
        } catch (error) {
          log.debug("a name server did not help", { server: server.address, code: asMystError(error).code });
        }
        if (stopped.signal.aborted) return undefined;
      }
      return failureFor(query, question);
    } finally {
      waitingInAll -= 1;
      const left = (waiting.get(client) ?? 1) - 1;
      if (left > 0) waiting.set(client, left);
      else waiting.delete(client);
    }
  };

  const onConnection = async (socket: Socket) => {
    const client = socket.remoteAddress ?? "";
    const ofClient = [...connections].filter(({ remoteAddress }) => remoteAddress === client).length;
    if (connections.size >= maxConnections || ofClient >= maxPerClient) return socket.destroy();
    connections.add(socket);
    socket.setTimeout(idleMs, () => socket.destroy());
    try {
      for await (const query of messages(socket, maxQuestionBytes)) {
        const answered = await answer(query, client, askByTcp);
        if (!answered) break;
        socket.write(prefixed(answered));
      }
    } catch (error) {
      log.debug("a client's connection was dropped", { reason: (error as Error).message });
    } finally {
      connections.delete(socket);
      socket.destroy();
    }
  };

  await using undo = new AsyncDisposableStack();
  const tcp = createServer((socket) => {
    socket.on("error", () => undefined);
    void onConnection(socket);
  });
  const failed = (cause: unknown) =>
    new MystError("TUNNEL_FAILED", `cannot answer DNS questions at ${address}:${port}: ${asMystError(cause).message}`, {
      hint: "end what uses that port: see 'ss -lunp'",
      cause,
    });
  const udp = await listenOnBoth(tcp, port, address).catch((cause) => {
    throw failed(cause);
  });
  undo.defer(() => new Promise<void>((resolve) => udp.close(resolve)));
  udp.on("message", (query, { address: client, port: from }) => {
    void answer(query, client, askByUdp).then((answered) => {
      if (answered && !stopped.signal.aborted) udp.send(answered, from, client, () => undefined);
    });
  });
  // one that fails later is no reason to end the exit
  for (const part of [udp, tcp]) part.on("error", (error) => log.warn("answering DNS questions", { error: error.message }));
  undo.defer(async () => {
    stopped.abort();
    for (const socket of connections) socket.destroy();
    await new Promise<void>((resolve) => tcp.close(() => resolve()));
  });
  const opened = undo.move();
  return { port: udp.address().port, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const portTries = 10;

/** UDP and TCP on one port. With port 0 the one that UDP is given may be taken for TCP: then another is tried. @throws what listening does */
export async function listenOnBoth(tcp: Server, port: number, address: string): Promise<UdpSocket> {
  for (let tries = 1; ; tries += 1) {
    const udp = createSocket("udp4");
    try {
      await listening(udp, () => udp.bind(port, address));
      await listening(tcp, () => tcp.listen(udp.address().port, address));
      return udp;
    } catch (error) {
      await new Promise<void>((resolve) => udp.close(resolve));
      if (port !== 0 || tries >= portTries || (error as { code?: string }).code !== "EADDRINUSE") throw error;
    }
  }
}

const listening = (part: NodeJS.EventEmitter, begin: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    part.once("error", reject);
    part.once("listening", () => {
      part.off("error", reject);
      resolve();
    });
    begin();
  });

/** As /etc/resolv.conf has them now: a laptop gets others with each network. */
function systemServers(clock: Pick<Clock, "nowMs">): () => Promise<NameServer[]> {
  let known: NameServer[] = [];
  let readMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (clock.nowMs() - readMs < serversFreshMs) return known;
    const text = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
    readMs = clock.nowMs();
    const found = nameServers(text).map((address) => ({ address, port: 53 }));
    // as the C library has it where none is named
    known = found.length > 0 ? found : [{ address: "127.0.0.1", port: 53 }];
    return known;
  };
}
