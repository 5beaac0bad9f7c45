import { z } from "zod";
import type { ExplainView } from "../node/types.ts";
import { countryState, egressView, exitView } from "./schema.ts";
import { as, decimal, hex } from "./values.ts";

const evidence = { ok: z.number(), fail: z.number() };
export const explainView = as<ExplainView>()(
  z.object({
    peer: z.string(),
    address: hex,
    score: z.number(),
    quality: z.number(),
    evidence: z.object(evidence),
    rttMs: z.number().optional(),
    mbps: z.number().optional(),
    exits: z.array(exitView),
    country: z
      .object({
        claimed: z.string(),
        state: countryState,
        refutedBy: z.enum(["egress", "databases", "latency"]).optional(),
        here: z.string().optional(),
        egress: egressView.optional(),
        told: z.string().optional(),
        databases: z.array(
          z.object({ database: z.string(), address: z.string(), country: z.string(), of: z.enum(["endpoint", "egress"]) }),
        ),
        measured: z.array(z.object({ country: z.string(), rttMs: z.number(), apartKm: z.number(), by: z.string().optional() })),
      })
      .optional(),
    rank: z
      .object({
        place: z.number(),
        of: z.number(),
        chance: z.number(),
        utility: z.number(),
        factors: z.object({
          score: z.number(),
          speed: z.number(),
          country: z.number(),
          price: z.number(),
          room: z.number(),
          places: z.number(),
        }),
      })
      .optional(),
    own: z.object({
      sessions: z.number(),
      fails: z.number(),
      ...evidence,
      settled: decimal,
      mbps: z.number().optional(),
      rttMs: z.number().optional(),
    }),
    coPayers: z.array(z.object({ payer: hex, weight: z.number(), ...evidence, settled: decimal, via: z.array(hex) })),
    gossip: z.object({
      weight: z.number(),
      raters: z.number(),
      flow: z.number(),
      reference: z.number(),
      most: z.number(),
      mostOfOne: z.number(),
    }),
    stake: z.object({ bond: decimal, ageMs: z.number(), share: z.number() }),
    isNew: z.boolean(),
  }),
);
