import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { asMystError, MystError } from "../lib/errors.ts";
import { networkText } from "../lib/network-config.ts";
import { type Logger, silentLogger } from "../lib/ports.ts";
import type { Connection, Node, SentView, WalletOptions } from "../node/types.ts";
import { errorBody } from "./error-body.ts";
import { type CallName, type Input, type Output, type RouteName, routes, type StreamName } from "./routes.ts";
import { createQueue } from "./stream.ts";

const maxBody = 64 * 1024;
/** what a client of /v1/events may fall behind */
const maxEvents = 1000;

type Handlers = { [K in CallName]: (input: Input<K>, signal: AbortSignal) => Output<K> | Promise<Output<K>> } & {
  [K in StreamName]: (input: Input<K>, signal: AbortSignal) => AsyncIterable<Output<K>>;
};

/** The part of a node that the API drives. */
export type ApiNode = Omit<Node, "start" | "serve" | "stop" | typeof Symbol.asyncDispose>;

export type ApiOptions = {
  log?: Logger;
  /** called, after the answer, when a client asks the node to stop */
  onStop?(): void;
};

/** A fetch handler. `request` calls it in-process, as hono has it. */
export type Api = Pick<Hono, "fetch" | "request">;

function handlersOf(node: ApiNode, onStop: () => void): Handlers {
  let latest: Connection | undefined;
  const carriedBy = (connection: Connection | undefined, id: string) => connection?.sessions().find((one) => one.id === id);
  const connectionOf = (id: string) => [node.connection(), latest].find((connection) => carriedBy(connection, id));
  const sessionOf = async (id: string) => {
    const session = carriedBy(connectionOf(id), id) ?? (await node.sessions()).find((one) => one.id === id);
    if (session) return session;
    throw new MystError("SESSION_UNKNOWN", `this node has no session '${id}'`, { hint: "list them with 'mystnode sessions'" });
  };
  return {
    status: () => node.status(),
    network: () => ({ network: JSON.parse(networkText(node.network)) }),
    identity: () => ({ peer: node.peerId, address: node.address }),
    exits: async (query) => ({ exits: await node.exits(query) }),
    explain: async ({ peer }) => ({ exit: await node.explain(peer) }),
    look: (options, signal) => node.look({ ...options, signal }),
    sessions: async () => ({ sessions: await node.sessions() }),
    session: async ({ id }) => ({ session: await sessionOf(id) }),
    sessionEnd: async ({ id }) => {
      const connection = connectionOf(id);
      const session = await (connection?.ended ?? sessionOf(id));
      return { session, sessions: connection?.sessions() ?? [session] };
    },
    find: (options, signal) => node.find({ ...options, signal }),
    connect: (options, signal) => {
      const queue = createQueue<Output<"connect">>(100);
      const onStep = (step: Extract<Output<"connect">, { type: "step" }>["step"]) => queue.push({ type: "step", step });
      // who asked may go away once connected: that ends the attempt, not the connection
      const attempt = new AbortController();
      const giveUp = () => attempt.abort(signal.reason);
      signal.addEventListener("abort", giveUp);
      const run = async () => {
        latest = await node.connect({ ...options, signal: attempt.signal, onStep });
        signal.removeEventListener("abort", giveUp);
        latest.ended.catch(() => undefined);
        const { sessionId, exit, endpoint } = latest;
        queue.push({ type: "connected", connection: { sessionId, exit, endpoint } });
      };
      run().then(
        () => queue.end(),
        (error) => queue.end(error),
      );
      return queue.items;
    },
    disconnect: async () => {
      const connection = node.connection();
      if (!connection) throw new MystError("NOT_CONNECTED", "this node has no connection", { hint: "make one with 'mystnode connect'" });
      return { session: await connection.disconnect(), sessions: connection.sessions() };
    },
    unblock: async () => ({ released: await node.unblock() }),
    wallet: () => node.wallet.show(),
    channels: async () => ({ channels: await node.wallet.channels() }),
    account: ({ signer }) => node.wallet.account(signer),
    consent: ({ owner }) => node.wallet.consent(owner),
    outside: (request) => node.wallet.outside(request),
    deposit: ({ amount, bond, ...account }, signal) =>
      sending((options) => node.wallet.deposit(amount, bond, { ...account, ...options }), signal),
    close: (account, signal) => sending((options) => node.wallet.close({ ...account, ...options }), signal),
    withdraw: (account, signal) => sending((options) => node.wallet.withdraw({ ...account, ...options }), signal),
    settle: (which, signal) => sending((options) => node.wallet.settle({ ...which, ...options }), signal),
    stop: () => {
      setImmediate(onStop);
      return { stopping: true as const };
    },
    events: (_, signal) => {
      const queue = createQueue<Output<"events">>(maxEvents);
      const off = node.events.on((event) => queue.push({ event }));
      signal.addEventListener("abort", () => {
        off();
        queue.end();
      });
      return queue.items;
    },
  };
}

type Sending<R> = { type: "sent"; sent: SentView } | { type: "done"; result: R };

/** What goes out as it does, then the result. */
function sending<R>(work: (options: Required<WalletOptions>) => Promise<R>, signal: AbortSignal): AsyncIterable<Sending<R>> {
  const queue = createQueue<Sending<R>>(100);
  work({ signal, onSent: (sent) => queue.push({ type: "sent", sent }) }).then(
    (result) => {
      queue.push({ type: "done", result });
      queue.end();
    },
    (error) => queue.end(error),
  );
  return queue.items;
}

const statusOf = (error: MystError) => {
  if (error.code === "INTERNAL") return 500;
  if (error.code === "SESSION_UNKNOWN") return 404;
  return /^(BAD_|MALFORMED|USAGE)/.test(error.code) ? 400 : 409;
};

/** @throws BAD_VALUE naming the first member that is wrong */
function checked<K extends RouteName>(route: K, raw: unknown): Input<K> {
  const parsed = routes[route].input.safeParse(raw);
  if (parsed.success) return parsed.data as Input<K>;
  const issue = parsed.error.issues[0];
  throw new MystError("BAD_VALUE", `${issue?.path.join(".") || "request"}: ${issue?.message}`, {
    hint: `see ${routes[route].path} in the docs`,
  });
}

const line = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value)}\n`);

function ndjson<K extends StreamName>(route: K, items: AsyncIterable<Output<K>>, request: Asking): ReadableStream<Uint8Array> {
  const iterator = items[Symbol.asyncIterator]();
  const close = (controller: ReadableStreamDefaultController) => {
    request.over();
    controller.close();
  };
  return new ReadableStream({
    pull: async (controller) => {
      try {
        const { done, value } = await iterator.next();
        if (done) close(controller);
        else controller.enqueue(line({ v: 1, ...(z.encode(routes[route].output, value as never) as object) }));
      } catch (error) {
        controller.enqueue(line(errorBody(asMystError(error))));
        close(controller);
      }
    },
    cancel: request.gone,
  });
}

type Asking = {
  /** aborts when the client has gone */
  signal: AbortSignal;
  gone(): void;
  /** to be called once it is answered: while somebody listens to its signal, a Request is never collected as garbage */
  over(): void;
};

/** Whoever holds on to this holds on to the Request, whose signal tells nothing any more once it is collected. */
function asking(request: Request): Asking {
  const left = new AbortController();
  const { signal } = request;
  const gone = () => left.abort(signal.reason);
  signal.addEventListener("abort", gone);
  return {
    signal: left.signal,
    gone,
    // names the Request, so that this holds on to it
    over: () => request.signal.removeEventListener("abort", gone),
  };
}

/** The one API of a node, for the socket and for commands in the same process. It holds nothing that the node does not. */
export function createApi(node: ApiNode, { log = silentLogger, onStop = () => undefined }: ApiOptions = {}): Api {
  const app = new Hono();
  const handlers = handlersOf(node, onStop);
  const tooLong = () => {
    throw new MystError("BAD_VALUE", `a request may have ${maxBody} bytes`);
  };
  app.use(bodyLimit({ maxSize: maxBody, onError: tooLong }));
  app.onError((error, c) => {
    const ours = asMystError(error);
    if (ours.code === "INTERNAL") log.error("api request failed", { path: c.req.path, error: ours.message });
    return c.body(JSON.stringify(errorBody(ours)), statusOf(ours), { "content-type": "application/json" });
  });
  app.notFound((c) => {
    throw new MystError("USAGE", `no ${c.req.method} ${c.req.path.slice(0, 100)} here`, { hint: "all routes begin with /v1" });
  });
  for (const [name, route] of Object.entries(routes) as [RouteName, (typeof routes)[RouteName]][]) {
    app.on(route.method, route.path, async (c) => {
      const rest = route.method === "GET" ? c.req.query() : await body(c.req.text());
      const input = checked(name, { ...rest, ...c.req.param() });
      const request = asking(c.req.raw);
      const { signal } = request;
      if ("stream" in route) {
        const items = (handlers[name as StreamName] as (input: unknown, signal: AbortSignal) => AsyncIterable<never>)(input, signal);
        return c.body(ndjson(name as StreamName, items, request), 200, { "content-type": "application/x-ndjson" });
      }
      try {
        const output = await (handlers[name as CallName] as (input: unknown, signal: AbortSignal) => Promise<never>)(input, signal);
        return c.json({ v: 1, ...(z.encode(route.output, output) as object) });
      } finally {
        request.over();
      }
    });
  }
  return app;
}

async function body(text: Promise<string>): Promise<object> {
  const raw = await text;
  if (raw === "") return {};
  try {
    return JSON.parse(raw) as object;
  } catch (cause) {
    throw new MystError("BAD_VALUE", "the request is not JSON", { cause });
  }
}
