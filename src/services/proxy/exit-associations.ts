import { MystError } from "../../lib/errors.ts";
import { within } from "../../lib/lifecycle.ts";
import type { FrameStream } from "../../network/network.ts";
import { carryDatagrams, type ExitDatagramDeps } from "./exit-datagrams.ts";
import type { ExitSession } from "./exit-session.ts";
import type { ExitStreamDeps } from "./exit-stream.ts";
import { associationCodec, type ReplyCode, replyCodec } from "./protocol.ts";

export type AssociationOptions = {
  egressAddress: string | undefined;
  dialTimeoutMs: number;
  maxAssociations: number;
  headerTimeoutMs: number;
  datagramIdleMs: number;
};

/**
 * Serves one stream for datagrams, from its header to its end.
 * @throws MALFORMED, PEER_TIMEOUT, PEER_UNREACHABLE: the stream is then to be aborted
 */
export async function serveAssociation(
  deps: ExitStreamDeps & Pick<ExitDatagramDeps, "clock">,
  options: AssociationOptions,
  stream: FrameStream,
): Promise<void> {
  const first = await within(stream.receive(), options.headerTimeoutMs, "PEER_TIMEOUT", "the header of an association").catch((error) => {
    deps.askedInVain(stream.peer);
    throw error;
  });
  if (!first) throw new MystError("MALFORMED", "the stream ended before its header");
  const header = associationCodec.decode(first);
  const session = deps.sessionOf(header.session, stream.peer);
  const code = session ? roomIn(session, header.id, options.maxAssociations) : "session";
  await stream.send(replyCodec.encode({ code }));
  if (session && code === "ok") await session.run(carryFor(session));

  async function carryFor(session: ExitSession) {
    const { id } = header;
    const { egressAddress, dialTimeoutMs: lookupMs, datagramIdleMs: idleMs } = options;
    const association = carryDatagrams({ ...deps, stream, session }, { id, egressAddress, lookupMs, idleMs });
    session.connections.set(id, association);
    session.associations.add(id);
    try {
      await association.done;
    } finally {
      session.connections.delete(id);
      session.associations.delete(id);
    }
  }
}

const roomIn = ({ associations, connections }: ExitSession, id: number, max: number): ReplyCode =>
  associations.size >= max || connections.has(id) ? "busy" : "ok";
