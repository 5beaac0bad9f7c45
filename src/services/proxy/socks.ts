import ipaddr from "ipaddr.js";

/**
 * The server's side of a SOCKS5 handshake (RFC 1928), as a pure incremental parser: bytes in, in whatever pieces, answers out.
 * No authentication, CONNECT only. It never holds more than one handshake message.
 */
export type SocksState = { phase: "greeting" | "request" | "done"; held: Uint8Array };

export type SocksEvent =
  /** to be sent to the client */
  | { type: "answer"; bytes: Uint8Array }
  /** the client wants a connection; `rest` is what it sent ahead, to be carried */
  | { type: "connect"; host: string; port: number; rest: Uint8Array }
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
const ipv4Type = 1;
const nameType = 3;
const ipv6Type = 4;

/** A reply. The address bound at the exit is not told; clients have no use for it. */
export const replyBytes = (code: number): Uint8Array => Uint8Array.of(socksVersion, code, 0, ipv4Type, 0, 0, 0, 0, 0, 0);

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
  if (held.length > 0 && held[0] !== socksVersion) return refuse("not SOCKS5", replyBytes(socksReply.failure));
  if (held.length > 1 && held[1] !== connectCommand) return refuse("not CONNECT", replyBytes(socksReply.commandUnsupported));
  if (held.length < 5) return waiting;
  const length = addressLength(held);
  if (length === undefined) return refuse("no address type we have", replyBytes(socksReply.addressUnsupported));
  const end = 4 + length + 2;
  if (held.length < end) return waiting;
  const host = hostOf(held.subarray(3, 4 + length));
  const port = ((held[end - 2] ?? 0) << 8) | (held[end - 1] ?? 0);
  if (host === undefined || port === 0) return refuse("no destination", replyBytes(socksReply.failure));
  return { state: done, events: [{ type: "connect", host, port, rest: held.slice(end) }] };
}

function addressLength(held: Uint8Array): number | undefined {
  switch (held[3]) {
    case ipv4Type:
      return 4;
    case ipv6Type:
      return 16;
    case nameType:
      return 1 + (held[4] ?? 0);
  }
}

/** ATYP ADDRESS as text. A name must be printable ASCII; more the exit checks. */
function hostOf([type, ...address]: Uint8Array): string | undefined {
  if (type !== nameType) return ipaddr.fromByteArray(address).toString();
  const name = String.fromCharCode(...address.slice(1));
  return /^[\x21-\x7e]+$/.test(name) ? name : undefined;
}
