import { type IncomingMessage, type ServerResponse, request as send } from "node:http";
import { type Duplex, finished, pipeline } from "node:stream";
import { badRequest, bodyOf, headersOf, type Refusal, refusal, written } from "./http-texts.ts";
import { localPair } from "./local-pair.ts";
import type { Destination, Wanted } from "./wanted.ts";

/** Of one connection only, so not passed on (RFC 9110, 7.6.1), and what is for the proxy alone. `Expect` has been met here. */
const notPassedOn = [
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"],
  ...["proxy-authorization", "proxy-authenticate", "proxy-authentication-info"],
];
/** of an answer; some targets set many cookies */
const maxAnswerHeaders = 64 * 1024;
/** a program may go on for so long with a request that has its answer */
const restMs = 30_000;

/**
 * Makes a request on a program's behalf: where it goes the URL says, whatever its Host header says. Nothing tells the target of a
 * proxy (no Via, no Forwarded): it sees the exit's address and the program's own words.
 */
export function forward(request: IncomingMessage, response: ServerResponse, onWanted: (wanted: Wanted) => void): void {
  const target = targetOf(request.url ?? "");
  if (!("host" in target)) {
    refuse(request, response, target);
    return;
  }
  const { far, near } = localPair();
  near.on("error", () => undefined);
  response.once("close", () => {
    if (!response.writableFinished) near.destroy();
  });
  const answer: Wanted["answer"] = (code) => {
    if (code === "ok") {
      exchange(request, response, target, near);
    } else {
      near.destroy();
      refuse(request, response, refusal(code, target));
    }
  };
  onWanted({ host: target.host, port: target.port, end: far, answer });
}

function exchange(request: IncomingMessage, response: ServerResponse, target: Target, near: Duplex): void {
  const failed = (error: Error) => {
    near.destroy();
    if (response.headersSent) response.destroy();
    else refuse(request, response, { ...incomplete, text: `no answer from ${written(target)}: ${error.message}` });
  };
  const chunked = request.headers["transfer-encoding"] === undefined ? [] : ["Transfer-Encoding", "chunked"];
  try {
    const asked = send({
      createConnection: () => near,
      method: request.method,
      path: target.path,
      headers: ["Host", target.hostHeader, ...passedOn(request, ["host"]), ...chunked, "Connection", "close"],
      setHost: false,
      maxHeaderSize: maxAnswerHeaders,
    });
    asked.on("error", failed);
    asked.on("response", (answer) => {
      response.sendDate = false;
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, passedOn(answer));
      pipeline(answer, response, () => undefined);
    });
    pipeline(request, asked, () => undefined);
  } catch (error) {
    failed(error as Error);
  }
}

const incomplete = { status: 502, error: "http_response_incomplete" };

/** Answers at once, and ends only when the request has: closed before all has been read of it, a connection is reset, the answer lost. */
function refuse(request: IncomingMessage, response: ServerResponse, refused: Refusal): void {
  if (response.destroyed) return;
  response.writeHead(refused.status, headersOf(refused));
  response.write(bodyOf(refused));
  const tooLong = setTimeout(() => request.destroy(), restMs);
  finished(request.resume(), () => {
    clearTimeout(tooLong);
    response.end();
  });
}

/** A message's headers as they came, without those that end here. */
function passedOn({ headers, rawHeaders }: IncomingMessage, more: string[] = []): string[] {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const dropped = new Set([...notPassedOn, ...named, ...more]);
  const pairs = Array.from({ length: rawHeaders.length / 2 }, (_, i) => rawHeaders.slice(2 * i, 2 * i + 2));
  return pairs.filter(([name = ""]) => !dropped.has(name.toLowerCase())).flat();
}

type Target = Destination & { path: string; hostHeader: string };

/** Where an absolute URL leads; the path as it was written. */
function targetOf(url: string): Target | Refusal {
  const [, authority, path = ""] = /^http:\/\/([^/?#]+)([^#]*)/i.exec(url) ?? [];
  if (authority === undefined)
    return badRequest(
      /^https:/i.test(url)
        ? "https goes through CONNECT"
        : "this is a proxy, not a web server: name it with http_proxy, or with curl --proxy",
    );
  const text = `http://${authority}/`;
  const { hostname, port, host } = URL.canParse(text) ? new URL(text) : { hostname: "", port: "", host: "" };
  if (hostname === "" || hostname.length > 255) return badRequest("the URL names no host");
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 80),
    path: path.startsWith("/") ? path : `/${path}`,
    hostHeader: host,
  };
}
