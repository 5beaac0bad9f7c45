import { z } from "zod";
import type { ServingView } from "../node/types.ts";
import { as, backend, decimal, ports } from "./values.ts";

const sold = {
  perGiB: decimal,
  perHour: decimal,
  allow: z.array(z.string()),
  block: z.array(z.string()),
  closedPorts: ports.optional(),
  egressAddress: z.string().optional(),
  speed: z.object({ perClient: z.number().optional(), whole: z.number().optional() }).optional(),
};
const relaySold = z.object({ kind: z.literal("relay"), ...sold, port: z.number() });
const wireguardSold = z.object({
  kind: z.literal("wireguard"),
  ...sold,
  listenPort: z.number(),
  backend: backend.optional(),
  endpoint: z.string().optional(),
  egressIf: z.string().optional(),
  flowLimit: z.number().optional(),
  ipv6: z.boolean().optional(),
});

const watching = z.object({
  forOthers: z
    .object({
      ...{ feeBps: z.number(), channels: z.number(), providers: z.number(), cleared: z.number() },
      ...{ amount: decimal, earned: decimal },
    })
    .optional(),
  byOthers: z.object({ channels: z.number(), amount: decimal, by: z.array(z.string()) }).optional(),
});

const mapping = z.object({
  state: z.enum(["announced", "mapped", "none"]),
  by: z.enum(["nat-pmp", "upnp", "hand"]).optional(),
  router: z.string().optional(),
  outside: z.string().optional(),
  ports: z.array(z.object({ protocol: z.enum(["tcp", "udp"]), port: z.number(), outside: z.number() })).optional(),
  why: z.string().optional(),
});

export const servingView = as<ServingView>()(
  z.object({
    country: z.string(),
    services: z.array(z.discriminatedUnion("kind", [z.object({ kind: z.literal("proxy"), ...sold }), relaySold, wireguardSold])),
    sessions: z.number(),
    maxSessions: z.number(),
    carried: decimal,
    monthlyCap: decimal.optional(),
    closed: z.string().optional(),
    watching: watching.optional(),
    mapping: mapping.optional(),
  }),
);
