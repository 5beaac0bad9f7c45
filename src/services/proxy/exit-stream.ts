import type { Socket } from "node:net";
import { within } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { ByteStream } from "../../network/network.ts";
import { type DialDeps, dial } from "./dial.ts";
import { carry } from "./exit-connection.ts";
import type { ExitSession } from "./exit-session.ts";
import { type Header, headerCodec, maxHeader, prefixed, prefixedReader, type ReplyCode, replyCodec } from "./protocol.ts";

export type ExitStreamDeps = DialDeps & {
  /** the admitted session with this id, if it is this peer's */
  sessionOf(id: Uint8Array, peer: string): ExitSession | undefined;
  /** A stream of this peer ends before it has named its session. */
  askedInVain(peer: string): void;
  log: Logger;
};

export type ExitStreamOptions = {
  egressAddress: string | undefined;
  dialTimeoutMs: number;
  maxStreams: number;
  headerTimeoutMs: number;
  idleMs: number;
};

/** After a connection is over, its consumer has so long to end its half. */
const lingerMs = 10_000;

/**
 * Serves one stream of a consumer from its header to its end.
 * @throws MALFORMED, PEER_TIMEOUT, PEER_UNREACHABLE: the stream is then to be aborted
 */
export async function serveStream(deps: ExitStreamDeps, options: ExitStreamOptions, stream: ByteStream): Promise<void> {
  const reader = prefixedReader(stream, headerCodec, maxHeader);
  const header = await within(reader.first(), options.headerTimeoutMs, "PEER_TIMEOUT", "the header of a connection").catch((error) => {
    deps.askedInVain(stream.peer);
    throw error;
  });
  const session = deps.sessionOf(header.session, stream.peer);
  session?.unanswered.asked(header.id);
  try {
    const code = await (session ? session.run(connectAndCarry(session)) : "session");
    if (code !== "ok") await refuse(code);
  } finally {
    session?.unanswered.settled(header.id);
  }

  async function connectAndCarry(session: ExitSession): Promise<ReplyCode> {
    if (session.connections.size >= options.maxStreams || session.connections.has(header.id)) return "busy";
    const wanted = new AbortController();
    const unwant = () => wanted.abort();
    const nothing = () => undefined;
    session.connections.set(header.id, { stop: unwant, abort: unwant, hold: nothing, go: nothing });
    try {
      const target = await dial(deps, { ...options, timeoutMs: options.dialTimeoutMs }, header.host, header.port, wanted.signal);
      if (!target.ok) {
        deps.log.debug("connection refused", { code: target.code, reason: target.detail });
        return target.code;
      }
      await carryTo(session, target.socket, header, wanted.signal);
      return "ok";
    } finally {
      session.connections.delete(header.id);
    }
  }

  async function carryTo(
    { gate, control, unanswered, connections, addUp }: ExitSession,
    socket: Socket,
    { id }: Header,
    wanted: AbortSignal,
  ) {
    try {
      await stream.write(prefixed(replyCodec, { code: "ok" }));
      wanted.throwIfAborted();
    } catch (error) {
      socket.destroy();
      throw error;
    }
    const { idleMs } = options;
    const incoming = reader.rest();
    const connection = carry({ stream, incoming, socket, gate, control, unanswered, onUp: addUp }, { id, idleMs, lingerMs });
    connections.set(id, connection);
    await connection.done;
  }

  /** Says why, then reads to the consumer's end: a reset would overtake the answer. */
  async function refuse(code: ReplyCode) {
    await stream.write(prefixed(replyCodec, { code }));
    await stream.closeWrite();
    const impatience = setTimeout(() => stream.abort(new Error("the consumer did not end its half")), lingerMs);
    try {
      for await (const _ of reader.rest());
    } finally {
      clearTimeout(impatience);
    }
  }
}
