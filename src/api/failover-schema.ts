import { z } from "zod";
import type { FailoverStep, FailoverView } from "../node/types.ts";
import { as, decimal, endpoint } from "./values.ts";

export const failoverStep: z.ZodType<FailoverStep> = z.discriminatedUnion("what", [
  z.object({ what: z.literal("standby"), atMs: z.number(), peer: z.string().optional(), country: z.string().optional() }),
  z.object({ what: z.literal("looking"), atMs: z.number(), from: z.string(), reason: z.string() }),
  z.object({
    what: z.literal("switched"),
    atMs: z.number(),
    from: z.string(),
    peer: z.string(),
    country: z.string(),
    session: z.string(),
    endpoint,
    reason: z.string(),
    tookMs: z.number(),
  }),
  z.object({ what: z.literal("resumed"), atMs: z.number(), peer: z.string(), session: z.string(), tookMs: z.number() }),
]);
export const failoverChoice = z.enum(["any", "same", "off"]);
export const failover = as<FailoverView>()(
  z.object({
    choice: failoverChoice,
    state: z.enum(["carrying", "probing", "looking"]),
    standby: z.object({ peer: z.string(), country: z.string() }).optional(),
    usedBytes: decimal,
    promised: decimal,
    switches: z.array(failoverStep),
  }),
);
