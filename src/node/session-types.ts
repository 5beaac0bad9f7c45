import type { Hex } from "../lib/codec.ts";
import type { EgressView } from "./exit-types.ts";

export type SessionView = {
  id: string;
  role: "consumer" | "provider";
  /** of the session's own state machine, for example ACTIVE or CLEARED */
  state: string;
  peer: string;
  service: string;
  country?: string;
  perGiB: bigint;
  perHour: bigint;
  channel: Hex;
  startedMs: number;
  endedMs?: number;
  /** metered */
  usedBytes: bigint;
  usedMs: number;
  /** bought: what the promises of this session cover */
  billedBytes: bigint;
  billedMs: number;
  promises: number;
  /** by how much this session raised the channel's cumulative, base units */
  promised: bigint;
  /** prepaid in an earlier session and used in this one, base units */
  carriedIn: bigint;
  /** of the promised: what the contract has paid (provider), base units */
  cleared?: bigint;
  budget?: bigint;
  /** where the traffic of this session came out, last seen */
  egress?: EgressView;
  /** why it ended, when not by wish */
  reason?: string;
};

/** One of the exits that a connection goes through. */
export type HopView = SessionView & { endpoint: Record<string, string> };
