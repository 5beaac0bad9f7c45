import type { Hex } from "../lib/codec.ts";
import type { DiscoverySource, EgressView } from "./exit-types.ts";
import type { FailoverStep } from "./failover-types.ts";
import type { SessionView } from "./types.ts";

/** What `node.events` tells; it only observes. */
export type NodeEvent =
  | { type: "peer"; peer: string; connected: boolean }
  | { type: "offer"; peer: string; country: string; source: DiscoverySource }
  | { type: "session"; session: SessionView }
  | { type: "promise"; session: string; channel: Hex; cumulative: bigint; total: bigint; seq: bigint; bytes: bigint }
  | { type: "failover"; step: FailoverStep }
  | { type: "settled"; hash: Hex; claims: number; paid: bigint }
  /** a payer is found out; `owed` by it here, base units */
  | { type: "conflict"; signer: Hex; owed: bigint }
  /** where the traffic of a session came out, as peers saw it; `country` as the exit claims */
  | { type: "egress"; session: string; peer: string; country: string; egress: EgressView }
  | { type: "warning"; code: string; message: string };

/** A payer that has signed promises which cannot all be true, and what it owes here, base units. It gets nothing more. */
export type ConflictView = { signer: Hex; sinceMs: number; owed: bigint };
