import { readAddress, writeAddress } from "./address.ts";

/**
 * The server's side of a SOCKS5 handshake (RFC 1928), as a pure incremental parser: bytes in, in whatever pieces, answers out.
 * No authentication; CONNECT and UDP ASSOCIATE. It never holds more than one handshake message.
 */
export type SocksState = { phase: "greeting" | "request" | "done"; held: Uint8Array };

export type SocksEvent =
  /** to be sent to the client */
  | { type: "answer"; bytes: Uint8Array }
  /** the client wants a connection; `rest` is what it sent ahead, to be carried */
  | { type: "connect"; host: string; port: number; rest: Uint8Array }
  /** the client wants to send datagrams, from this port of its own, or 0 when it does not know yet */
  | { type: "associate"; port: number }
  /** to be hung up on, after the answers before */
  | { type: "refuse"; why: string };

export const newSocks: SocksState = { phase: "greeting", held: new Uint8Array() };

/** Reply codes of RFC 1928, section 6. */
export const socksReply = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  ttlExpired: 6,
  commandUnsupported: 7,
  addressUnsupported: 8,
} as const;

export const socksVersion = 5;
const noAuthentication = 0;
const noneAcceptable = 0xff;
const connectCommand = 1;
const associateCommand = 3;

/** A reply. `bound`: where datagrams are taken; the address that a connection has at the exit is not told, clients have no use for it. */
export const replyBytes = (code: number, bound = { host: "0.0.0.0", port: 0 }): Uint8Array =>
  Uint8Array.of(socksVersion, code, 0, ...writeAddress(bound.host, bound.port));

/** Takes what the client sent; after `connect` or `refuse` nothing more is taken. */
export function stepSocks(state: SocksState, bytes: Uint8Array): { state: SocksState; events: SocksEvent[] } {
  if (state.phase === "done") return { state, events: [] };
  const held = new Uint8Array(state.held.length + bytes.length);
  held.set(state.held);
  held.set(bytes, state.held.length);
  if (state.phase === "request") return request(held);
  const greeted = greeting(held);
  if (greeted.state.phase !== "request") return greeted;
  const next = request(greeted.state.held);
  return { state: next.state, events: [...greeted.events, ...next.events] };
}

type Result = ReturnType<typeof stepSocks>;
const done: SocksState = { phase: "done", held: new Uint8Array() };
const refuse = (why: string, answer?: Uint8Array): Result => ({
  state: done,
  events: [...(answer ? [{ type: "answer" as const, bytes: answer }] : []), { type: "refuse", why }],
});

/** VER NMETHODS METHODS */
function greeting(held: Uint8Array): Result {
  const waiting: Result = { state: { phase: "greeting", held }, events: [] };
  if (held.length > 0 && held[0] !== socksVersion) return refuse("not SOCKS5");
  const length = 2 + (held[1] ?? 0);
  if (held.length < 2 || held.length < length) return waiting;
  if (!held.subarray(2, length).includes(noAuthentication)) return refuse("no method we have", Uint8Array.of(socksVersion, noneAcceptable));
  return {
    state: { phase: "request", held: held.slice(length) },
    events: [{ type: "answer", bytes: Uint8Array.of(socksVersion, noAuthentication) }],
  };
}

/** VER CMD RSV ATYP ADDRESS PORT */
function request(held: Uint8Array): Result {
  const waiting: Result = { state: { phase: "request", held }, events: [] };
  const [version = socksVersion, command = connectCommand] = held;
  if (version !== socksVersion) return refuse("not SOCKS5", replyBytes(socksReply.failure));
  if (command !== connectCommand && command !== associateCommand)
    return refuse("neither CONNECT nor UDP ASSOCIATE", replyBytes(socksReply.commandUnsupported));
  const address = readAddress(held.subarray(3));
  if (address === "short") return waiting;
  if (address === "type") return refuse("no address type we have", replyBytes(socksReply.addressUnsupported));
  if (address === "name") return refuse("no destination", replyBytes(socksReply.failure));
  const { host, port, length } = address;
  if (command === associateCommand) return { state: done, events: [{ type: "associate", port }] };
  if (port === 0) return refuse("no destination", replyBytes(socksReply.failure));
  return { state: done, events: [{ type: "connect", host, port, rest: held.slice(3 + length) }] };
}
