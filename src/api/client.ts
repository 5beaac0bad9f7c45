import { request } from "node:http";
import { Readable } from "node:stream";
import { z } from "zod";
import { type ErrorCode, MystError } from "../lib/errors.ts";
import { type CallName, type Input, type Output, type RouteName, routes, type StreamName } from "./routes.ts";
import { shortSocketPath } from "./socket-path.ts";
import { lines } from "./stream.ts";

/** As hono's `request` and the global fetch have it, for paths of the API. */
type Fetch = (path: string, init: { method: string; body?: string; signal?: AbortSignal }) => Response | Promise<Response>;

/** A node's API as typed calls; errors of the node arrive as the MystErrors they were. */
export type ApiClient = {
  /** @throws NODE_NOT_RUNNING, NODE_UNREACHABLE, and what the route throws */
  call<K extends CallName>(route: K, input?: Input<K>, signal?: AbortSignal): Promise<Output<K>>;
  /** Items as they come. Leaving the loop ends the request. */
  stream<K extends StreamName>(route: K, input?: Input<K>, signal?: AbortSignal): AsyncGenerator<Output<K>>;
};

function requestOf(name: RouteName, input: unknown): { path: string; init: { method: string; body?: string } } {
  const { method, path, input: schema } = routes[name];
  const wire: Record<string, unknown> = { ...(z.encode(schema as z.ZodType, input ?? {}) as object) };
  const filled = path.replace(/:(\w+)/g, (_, key: string) => {
    const value = encodeURIComponent(String(wire[key]));
    delete wire[key];
    return value;
  });
  if (method === "POST") return { path: filled, init: { method, body: JSON.stringify(wire) } };
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(wire)) if (value !== undefined) query.set(key, String(value));
  return { path: query.size > 0 ? `${filled}?${query}` : filled, init: { method } };
}

const errorSchema = z.object({
  error: z.object({
    code: z.string().max(40),
    message: z.string().max(10_000),
    hint: z.string().max(10_000).optional(),
    meta: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  }),
});

/** The error that a body tells of, or undefined when it tells of none. */
function errorFrom(body: unknown): MystError | undefined {
  const parsed = errorSchema.safeParse(body);
  if (!parsed.success) return undefined;
  const { code, message, hint, meta } = parsed.data.error;
  return new MystError(code as ErrorCode, message, { ...(hint !== undefined && { hint }), ...(meta && { meta }) });
}

const garbled = (cause?: unknown) =>
  new MystError("NODE_UNREACHABLE", "the node's answer makes no sense", {
    hint: "is it of another version? compare 'mystnode version'",
    cause,
  });

function readItem<K extends RouteName>(name: K, text: string): Output<K> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw garbled(cause);
  }
  const error = errorFrom(raw);
  if (error) throw error;
  const parsed = routes[name].output.safeParse(raw);
  if (!parsed.success) throw garbled(parsed.error);
  return parsed.data as Output<K>;
}

/** A client over the node's socket, or over `fetch` (in-process: `api.request`). */
export function createApiClient(via: { socket: string } | { fetch: Fetch }): ApiClient {
  const fetch = "fetch" in via ? via.fetch : socketFetch(via.socket);
  const where = "fetch" in via ? "this process" : via.socket;
  const send = async (name: RouteName, input: unknown, signal?: AbortSignal) => {
    const { path, init } = requestOf(name, input);
    return fetch(path, { ...init, ...(signal && { signal }) });
  };
  return {
    call: async (name, input, signal) => {
      try {
        return readItem(name, await (await send(name, input, signal)).text());
      } catch (cause) {
        throw lost(where, cause, signal);
      }
    },
    async *stream(name, input, signal) {
      const left = new AbortController();
      try {
        const response = await send(name, input, signal ? AbortSignal.any([signal, left.signal]) : left.signal);
        if (!response.body) throw garbled();
        for await (const line of lines(response.body)) yield readItem(name, line);
      } catch (cause) {
        throw lost(where, cause, signal);
      } finally {
        left.abort();
      }
    },
  };
}

const absent = new Set(["ENOENT", "ECONNREFUSED", "ENOTDIR"]);

function lost(where: string, cause: unknown, signal?: AbortSignal): MystError {
  if (cause instanceof MystError) return cause;
  const { code = "", message = "" } = cause as { code?: string; message?: string };
  const make = (name: ErrorCode, text: string, hint?: string) => new MystError(name, text, { ...(hint && { hint }), cause });
  if (signal?.aborted && (signal.reason as Error | undefined)?.name === "TimeoutError")
    return make("NODE_UNREACHABLE", `the node at ${where} does not answer`, "see what its process does, or end it and start it again");
  if (signal?.aborted) return make("INTERRUPTED", "interrupted");
  if (absent.has(code))
    return make(
      "NODE_NOT_RUNNING",
      `no node runs at ${where}`,
      "start one with 'mystnode connect' or 'mystnode serve', or name its --data-dir",
    );
  if (code === "EACCES" || code === "EPERM")
    return make("NODE_UNREACHABLE", `not allowed to use ${where}`, "be the user that runs the node, or in its group");
  return make(
    "NODE_UNREACHABLE",
    `the node at ${where} ended the connection (${code || message})`,
    "see whether it runs: 'mystnode status'",
  );
}

/** fetch over a unix socket, one connection for each request. */
function socketFetch(socket: string): Fetch {
  return async (path, { method, body, signal }) => {
    await using short = await shortSocketPath(socket);
    return await new Promise<Response>((resolve, reject) => {
      const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const asked = request({ socketPath: short.path, path, method, headers, agent: false, ...(signal && { signal }) }, (answer) => {
        resolve(new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status: answer.statusCode ?? 500 }));
      });
      asked.on("error", reject);
      asked.end(body);
    });
  };
}
