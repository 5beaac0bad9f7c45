import type { ReplyCode } from "./protocol.ts";
import type { Destination } from "./wanted.ts";

/** An answer of the proxy's own: what went wrong as HTTP has it, as RFC 9209 has it for programs, and in words. */
export type Refusal = { status: number; error: string; text: string };

const refusals: Record<Exclude<ReplyCode, "ok">, Refusal> = {
  session: { status: 502, error: "proxy_internal_error", text: "the exit does not know this session" },
  busy: { status: 503, error: "connection_limit_reached", text: "too many connections are open" },
  policy: { status: 403, error: "destination_ip_prohibited", text: "the exit's policy does not allow it" },
  name: { status: 502, error: "dns_error", text: "the exit does not find that name" },
  refused: { status: 502, error: "connection_refused", text: "it refuses the connection" },
  unreachable: { status: 502, error: "destination_ip_unroutable", text: "its network cannot be reached from the exit" },
  timeout: { status: 504, error: "connection_timeout", text: "it did not answer the exit in time" },
  failed: { status: 502, error: "proxy_internal_error", text: "the exit failed" },
};

/** "example.org:443" or "[2001:db8::1]:443" */
export const written = ({ host, port }: Destination): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** Why there is no connection, for a program that speaks HTTP. */
export const refusal = (code: Exclude<ReplyCode, "ok">, destination: Destination): Refusal => {
  const { text, ...rest } = refusals[code];
  return { ...rest, text: `no connection to ${written(destination)}: ${text}` };
};

/** What is no request to a proxy. */
export const badRequest = (text: string): Refusal => ({ status: 400, error: "http_request_error", text });

/** Its headers, flat; the body is `bodyOf`. */
export const headersOf = (refused: Refusal): string[] => [
  ...["Content-Type", "text/plain; charset=utf-8"],
  ...["Content-Length", String(Buffer.byteLength(bodyOf(refused)))],
  ...["Proxy-Status", `mystnode; error=${refused.error}`],
];

export const bodyOf = ({ text }: Refusal): string => `mystnode: ${text}\n`;
