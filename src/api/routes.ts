import { z } from "zod";
import { explainView } from "./explain-schema.ts";
import * as view from "./schema.ts";
import * as wallet from "./wallet-schema.ts";

const nothing = z.strictObject({});
const byId = z.strictObject({ id: z.string().min(1).max(100) });
const byPeer = z.strictObject({ peer: z.string().min(1).max(100) });
const session = z.object({ session: view.sessionView });
/** the last session of a connection, and all there were */
const connectionEnd = session.extend({ sessions: z.array(view.sessionView) });

/** Once connected there is nothing more to tell: a stream that ends without it has an error as its last line. */
const connectItem = z.union([
  z.object({ type: z.literal("step"), step: view.connectStep }),
  z.object({ type: z.literal("connected"), connection: view.connectionView }),
]);

/** Each transaction as it goes out, then what has become of it. Who goes away ends the waiting; asked again, the node goes on with it. */
const sending = <S extends z.ZodType>(result: S) =>
  z.union([z.object({ type: z.literal("sent"), sent: wallet.sentView }), z.object({ type: z.literal("done"), result })]);

/**
 * Every route, once: the server checks what comes in by it, the client has its types from it. `:id` in a path is a member of
 * the input; the rest of an input is the query string of a GET and the JSON body of a POST. A stream is NDJSON, an item a line.
 * Every answer, item and error is an object with `v: 1`.
 */
export const routes = {
  status: { method: "GET", path: "/v1/status", input: nothing, output: view.nodeStatus },
  network: { method: "GET", path: "/v1/network", input: nothing, output: z.object({ network: z.record(z.string(), z.unknown()) }) },
  identity: { method: "GET", path: "/v1/identity", input: nothing, output: z.object({ peer: z.string(), address: z.string() }) },
  exits: { method: "GET", path: "/v1/exits", input: view.exitsInput, output: z.object({ exits: z.array(view.exitView) }) },
  /** exits as they are found, until every source has been asked; with `follow` on and on, and those that are gone */
  look: { method: "POST", path: "/v1/exits/look", input: view.lookInput, output: view.exitChange, stream: true },
  explain: { method: "GET", path: "/v1/exits/:peer", input: byPeer, output: z.object({ exit: explainView }) },
  sessions: { method: "GET", path: "/v1/sessions", input: nothing, output: z.object({ sessions: z.array(view.sessionView) }) },
  session: { method: "GET", path: "/v1/sessions/:id", input: byId, output: session },
  /** answers when the connection that the session belongs to has ended; with the error, when something ended it against our will */
  sessionEnd: { method: "GET", path: "/v1/sessions/:id/end", input: byId, output: connectionEnd },
  find: { method: "POST", path: "/v1/find", input: view.findInput, output: z.object({ matching: z.number(), exit: view.exitView }) },
  connect: { method: "POST", path: "/v1/connect", input: view.connectInput, output: connectItem, stream: true },
  disconnect: { method: "POST", path: "/v1/disconnect", input: nothing, output: connectionEnd },
  /** lifts the kill switch that an ended connection has left */
  unblock: { method: "POST", path: "/v1/unblock", input: nothing, output: z.object({ released: z.boolean() }) },
  wallet: { method: "GET", path: "/v1/wallet", input: nothing, output: wallet.walletView },
  channels: { method: "GET", path: "/v1/wallet/channels", input: nothing, output: z.object({ channels: z.array(wallet.channelView) }) },
  account: { method: "GET", path: "/v1/wallet/account", input: wallet.accountInput, output: wallet.accountSummary },
  consent: { method: "POST", path: "/v1/wallet/consent", input: wallet.consentInput, output: wallet.consentView },
  outside: { method: "POST", path: "/v1/wallet/outside", input: wallet.outsideInput, output: wallet.outsideView },
  deposit: { method: "POST", path: "/v1/wallet/deposit", input: wallet.depositInput, output: sending(wallet.depositOutput), stream: true },
  close: { method: "POST", path: "/v1/wallet/close", input: wallet.closeInput, output: sending(wallet.closeOutput), stream: true },
  withdraw: {
    method: "POST",
    path: "/v1/wallet/withdraw",
    input: wallet.withdrawInput,
    output: sending(wallet.withdrawOutput),
    stream: true,
  },
  settle: { method: "POST", path: "/v1/wallet/settle", input: wallet.settleInput, output: sending(wallet.settleView), stream: true },
  stop: { method: "POST", path: "/v1/stop", input: nothing, output: z.object({ stopping: z.literal(true) }) },
  events: { method: "GET", path: "/v1/events", input: nothing, output: z.object({ event: view.nodeEvent }), stream: true },
} as const satisfies Record<string, { method: "GET" | "POST"; path: string; input: z.ZodType; output: z.ZodType; stream?: true }>;

export type Routes = typeof routes;
export type RouteName = keyof Routes;
export type StreamName = { [K in RouteName]: Routes[K] extends { stream: true } ? K : never }[RouteName];
export type CallName = Exclude<RouteName, StreamName>;
export type Input<K extends RouteName> = z.output<Routes[K]["input"]>;
export type Output<K extends RouteName> = z.output<Routes[K]["output"]>;
