import type { Socket } from "node:net";
import type { ReplyCode } from "./protocol.ts";
import { newSocks, replyBytes, socksReply, stepSocks } from "./socks.ts";
import { hangUp, type OnWanted, type WantedDatagrams } from "./wanted.ts";

/** What the exit said, as SOCKS has it. */
const socksCode: Record<ReplyCode, number> = {
  ok: socksReply.succeeded,
  session: socksReply.failure,
  busy: socksReply.failure,
  failed: socksReply.failure,
  policy: socksReply.notAllowed,
  name: socksReply.hostUnreachable,
  unreachable: socksReply.networkUnreachable,
  refused: socksReply.refused,
  timeout: socksReply.ttlExpired,
};

/**
 * Does the SOCKS5 handshake with a program; one that is slow, or speaks something else, is hung up on. One of `on` comes at most once.
 */
export function greetSocks(socket: Socket, handshakeMs: number, on: OnWanted): void {
  let state = newSocks;
  const leave = () => socket.destroy();
  const tooLong = setTimeout(leave, handshakeMs);
  const over = () => {
    clearTimeout(tooLong);
    socket.off("data", onData).off("end", leave).off("close", over).pause();
  };
  const answer = (code: ReplyCode) => {
    const bytes = replyBytes(socksCode[code]);
    if (code === "ok") socket.write(bytes);
    else hangUp(socket, bytes);
  };
  const onData = (bytes: Uint8Array) => {
    const step = stepSocks(state, bytes);
    state = step.state;
    for (const event of step.events) {
      if (event.type === "answer") {
        socket.write(event.bytes);
      } else if (event.type === "refuse") {
        over();
        hangUp(socket);
      } else if (event.type === "associate") {
        over();
        const answer: WantedDatagrams["answer"] = (bound) => {
          if (bound) socket.write(replyBytes(socksReply.succeeded, bound));
          else hangUp(socket, replyBytes(socksReply.failure));
        };
        on.datagrams({ socket, port: event.port, answer });
      } else {
        over();
        if (event.rest.length > 0) socket.unshift(event.rest);
        on.connection({ host: event.host, port: event.port, end: socket, answer });
      }
    }
  };
  socket.on("data", onData).on("end", leave).on("close", over).resume();
}
