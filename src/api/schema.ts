import { z } from "zod";
import type {
  Connection,
  ConnectOptions,
  ConnectStep,
  ExitChange,
  ExitQuery,
  ExitView,
  FindOptions,
  LookOptions,
  NodeEvent,
  NodeStatus,
  SessionView,
} from "../node/types.ts";
import { failover, failoverChoice, failoverStep } from "./failover-schema.ts";
import { servingView } from "./serving-schema.ts";
import { as, backend, decimal, endpoint, hex, ports } from "./values.ts";

/** a share in a query string, 0 to 1 */
const share = z.codec(z.string().regex(/^(0(\.\d{1,17})?|1(\.0*)?)$/, "expected a number from 0 to 1"), z.number().min(0).max(1), {
  decode: Number,
  encode: (value) => value.toFixed(6),
});
/** a number in a query string */
const numeric = z.codec(z.string().regex(/^\d{1,9}$/), z.number().int().nonnegative(), { decode: Number, encode: String });
/** several in a query string, with commas */
const portList = z.codec(z.string().regex(/^\d{1,5}(,\d{1,5}){0,31}$/), z.array(z.number()), {
  decode: (text) => text.split(",").map(Number),
  encode: (ports) => ports.join(","),
});
const name = z.string().min(1).max(200);
const names = z.array(name).max(100);
const source = z.enum(["gossip", "snapshot", "dht", "cache"]);

const evidence = z.enum(["claimed", "database", "latency"]);
export const countryState = z.enum([...evidence.options, "refuted"]);

export const egressView = z.object({
  ...{ address: z.string(), observers: z.number(), atMs: z.number(), elsewhere: z.boolean() },
  ...{ country: z.string().optional(), asn: z.number().optional() },
});

export const exitView = as<ExitView>()(
  z.object({
    peer: z.string(),
    address: hex,
    owner: hex.optional(),
    addresses: z.array(z.string()),
    country: z.string(),
    city: z.string().optional(),
    networkKind: z.string(),
    service: z.string(),
    perGiB: decimal,
    perHour: decimal,
    policy: z.string(),
    closedPorts: ports,
    sessions: z.number(),
    maxSessions: z.number(),
    expiresMs: z.number(),
    sources: z.array(source),
    score: z.number().optional(),
    rttMs: z.number().optional(),
    mbps: z.number().optional(),
    asn: z.number().optional(),
    evidence: countryState.optional(),
  }),
);

export const sessionView = as<SessionView>()(
  z.object({
    id: z.string(),
    role: z.enum(["consumer", "provider"]),
    state: z.string(),
    peer: z.string(),
    service: z.string(),
    country: z.string().optional(),
    perGiB: decimal,
    perHour: decimal,
    channel: hex,
    startedMs: z.number(),
    endedMs: z.number().optional(),
    usedBytes: decimal,
    usedMs: z.number(),
    billedBytes: decimal,
    billedMs: z.number(),
    promises: z.number(),
    promised: decimal,
    carriedIn: decimal,
    cleared: decimal.optional(),
    budget: decimal.optional(),
    egress: egressView.optional(),
    reason: z.string().optional(),
  }),
);

const hopView = sessionView.extend({ endpoint });

export const nodeStatus = as<NodeStatus>()(
  z.object({
    version: z.string(),
    peer: z.string(),
    address: hex,
    network: z.string(),
    uptimeMs: z.number(),
    addresses: z.array(z.string()),
    peers: z.array(
      z.object({
        peer: z.string(),
        addresses: z.array(z.string()),
        direction: z.enum(["inbound", "outbound"]),
        rttMs: z.number().optional(),
      }),
    ),
    exitsKnown: z.number(),
    serving: servingView.optional(),
    conflicts: z.array(z.object({ signer: hex, sinceMs: z.number(), owed: decimal })).optional(),
    announcing: z.enum(["bonded", "unbonded", "unknown"]).optional(),
    connection: hopView.extend({ failover, first: hopView.optional() }).optional(),
    tunnel: z
      .object({
        intent: z.enum(["secured", "unguarded", "open"]),
        fact: z.enum(["down", "securing", "handshaking", "up", "blocked"]),
        problem: z.string().optional(),
        first: z.literal("up").optional(),
        interface: z.string().optional(),
        backend: backend.optional(),
      })
      .optional(),
    chain: z.object({ reachable: z.boolean(), block: z.number().optional(), problem: z.string().optional() }),
  }),
);

export const connectStep: z.ZodType<ConnectStep> = z.discriminatedUnion("step", [
  z.object({ step: z.literal("found"), atMs: z.number(), matching: z.number(), exit: exitView }),
  z.object({ step: z.literal("agreed"), atMs: z.number(), perGiB: decimal, perHour: decimal, quantum: decimal, budget: decimal }),
  z.object({ step: z.literal("open"), atMs: z.number(), endpoint }),
]);

export const nodeEvent: z.ZodType<NodeEvent> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("peer"), peer: z.string(), connected: z.boolean() }),
  z.object({ type: z.literal("offer"), peer: z.string(), country: z.string(), source }),
  z.object({ type: z.literal("session"), session: sessionView }),
  z.object({
    type: z.literal("promise"),
    session: z.string(),
    channel: hex,
    cumulative: decimal,
    total: decimal,
    seq: decimal,
    bytes: decimal,
  }),
  z.object({ type: z.literal("failover"), step: failoverStep }),
  z.object({ type: z.literal("settled"), hash: hex, claims: z.number(), paid: decimal }),
  z.object({ type: z.literal("conflict"), signer: hex, owed: decimal }),
  z.object({ type: z.literal("egress"), session: z.string(), peer: z.string(), country: z.string(), egress: egressView }),
  z.object({ type: z.literal("warning"), code: z.string(), message: z.string() }),
]);

/** A connection as far as it can be told: what cannot, `ended` and `disconnect`, are routes of their own. */
export const connectionView = as<Pick<Connection, "sessionId" | "exit" | "endpoint">>()(
  z.object({ sessionId: z.string(), exit: exitView, endpoint }),
);

const shield = as<NonNullable<ConnectOptions["shield"]>>()(
  z.strictObject({ killSwitch: z.boolean(), lan: z.boolean(), split: names, dns: name.optional() }),
);
const find = {
  peer: name.optional(),
  country: z.string().length(2).optional(),
  city: name.optional(),
  networkKind: name.optional(),
  openPorts: ports.optional(),
  service: z.enum(["wireguard", "proxy"]),
  maxPerGiB: decimal,
  maxPerHour: decimal,
  minScore: z.number().min(0).max(1).optional(),
  evidence: evidence.optional(),
  exclude: names.optional(),
  via: names.optional(),
};
export const findInput = as<Omit<FindOptions, "signal">>()(z.strictObject(find));
export const connectInput = as<Omit<ConnectOptions, "signal" | "onStep">>()(
  z.strictObject({
    ...find,
    budget: decimal,
    failover: failoverChoice.optional(),
    proxy: name.optional(),
    backend: backend.optional(),
    postQuantum: z.boolean().optional(),
    shield: shield.optional(),
    hops: z.literal([1, 2]).optional(),
  }),
);

export const exitsInput = as<ExitQuery>()(
  z.strictObject({
    country: z.string().length(2).optional(),
    city: name.optional(),
    service: name.optional(),
    networkKind: name.optional(),
    openPorts: portList.optional(),
    maxPerGiB: decimal.optional(),
    maxPerHour: decimal.optional(),
    limit: numeric.optional(),
    minScore: share.optional(),
    evidence: evidence.optional(),
    sort: z.enum(["price", "score", "latency"]).optional(),
    waitMs: numeric.optional(),
  }),
);

export const lookInput = as<Omit<LookOptions, "signal">>()(
  z.strictObject({
    country: z.string().length(2).optional(),
    city: name.optional(),
    service: name.optional(),
    networkKind: name.optional(),
    openPorts: ports.optional(),
    maxPerGiB: decimal.optional(),
    maxPerHour: decimal.optional(),
    minScore: z.number().min(0).max(1).optional(),
    evidence: evidence.optional(),
    waitMs: z.number().int().nonnegative().max(600_000).optional(),
    follow: z.boolean().optional(),
  }),
);

export const exitChange: z.ZodType<ExitChange> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("exit"), exit: exitView }),
  z.object({ type: z.literal("gone"), peer: z.string(), service: z.string() }),
]);
