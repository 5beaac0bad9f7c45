import type { CountryState, EvidenceLevel } from "../country/evidence.ts";
import type { Hex } from "../lib/codec.ts";

export type { CountryState, EvidenceLevel } from "../country/evidence.ts";

/** `cache`: exits of an earlier run, asked themselves. */
export type DiscoverySource = "gossip" | "snapshot" | "dht" | "cache";

export type ExitView = {
  peer: string;
  address: Hex;
  /** the account that its operator's exits name, where that is another, as claimed */
  owner?: Hex;
  addresses: string[];
  country: string;
  city?: string;
  networkKind: string;
  service: string;
  perGiB: bigint;
  perHour: bigint;
  policy: string;
  /** that its clients reach at no address */
  closedPorts: number[];
  sessions: number;
  maxSessions: number;
  expiresMs: number;
  /** by which sources this node has its offer */
  sources: DiscoverySource[];
  /** 0 to 1, where it was asked for: what this node thinks of it */
  score?: number;
  /** where it was asked for: what stands behind its country */
  evidence?: CountryState;
  /** ms and Mbit/s: measured here, else as those tell who paid the same exits as this node; absent where nobody knows */
  rttMs?: number;
  mbps?: number;
  /** the autonomous system that its clients come from, as those tell */
  asn?: number;
};

/** Where an exit's traffic came out, as so many peers in networks of their own have seen it. */
export type EgressView = {
  address: string;
  observers: number;
  atMs: number;
  /** as databases have it, where they agree */
  country?: string;
  /** the network that announces it, where a database says */
  asn?: number;
  /** all databases that know the address have it in another country than the exit claims */
  elsewhere: boolean;
};

/** What this node thinks of an exit, and why. */
export type ExplainView = {
  peer: string;
  address: Hex;
  /** 0 to 1 */
  score: number;
  /** Q of the evidence, before what nothing stands behind is taken off it */
  quality: number;
  /** what speaks for it and against it, in sessions */
  evidence: { ok: number; fail: number };
  rttMs?: number;
  mbps?: number;
  /** what it offers now; none: nothing */
  exits: ExitView[];
  /** what stands behind the country that it claims; absent when it offers nothing now */
  country?: {
    claimed: string;
    state: CountryState;
    /** who has shown that it is not there */
    refutedBy?: "egress" | "databases" | "latency";
    /** the country that this machine is in, where that is known */
    here?: string;
    /** where its traffic came out in a session of this node, last seen */
    egress?: EgressView;
    /** where others saw it come out, as most of them say by their weight */
    told?: string;
    /** what databases say of its addresses, and of those that its clients' traffic came from */
    databases: { database: string; address: string; country: string; of: "endpoint" | "egress" }[];
    /** round trips, by this node or a peer; and how far their country is from the claimed one at least */
    measured: { country: string; rttMs: number; apartKm: number; by?: string }[];
  };
  /** among the exits of its country that have a place left; absent for one that has none */
  rank?: {
    place: number;
    of: number;
    /** how likely a connect to that country tries it first */
    chance: number;
    utility: number;
    /** the utility is their product */
    factors: { score: number; speed: number; country: number; price: number; room: number; places: number };
  };
  /** our own sessions of 13 weeks; `ok`, `fail` and `settled` (base units) with half the weight every 30 days */
  own: { sessions: number; fails: number; ok: number; fail: number; settled: bigint; mbps?: number; rttMs?: number };
  /** those who paid exits that we paid, and this one; the greatest first, at most 20. `weight`: in sessions; `via`: those exits */
  coPayers: { payer: Hex; weight: number; ok: number; fail: number; settled: bigint; via: Hex[] }[];
  /** what others' words come to: in sessions together, out of so many raters; `flow` of our money's trace ends here, `reference` at an established exit */
  gossip: {
    weight: number;
    raters: number;
    flow: number;
    reference: number;
    /** bounds, in sessions: of all together, and of one rater */
    most: number;
    mostOfOne: number;
  };
  /** base units, and how long they have stood on average; `share`: how far that makes up for what is not known, 0 to 1 */
  stake: { bond: bigint; ageMs: number; share: number };
  /** less than five sessions' worth is known: it is tried now and then */
  isNew: boolean;
};

/** `waitMs`: when none is known, ask and wait so long; without it only what is known already counts. */
export type ExitQuery = {
  waitMs?: number;
  country?: string;
  city?: string;
  service?: string;
  networkKind?: string;
  /** ports that clients of the exit can reach */
  openPorts?: number[];
  maxPerGiB?: bigint;
  maxPerHour?: bigint;
  minScore?: number;
  /** at least so much of it for the country that they claim; with any, not those that are refuted */
  evidence?: EvidenceLevel;
  limit?: number;
  /** default price */
  sort?: "price" | "score" | "latency";
};

/** `waitMs`: look for so long at most, default 15 s; `follow`: then go on with what is new, changed or gone, until the signal fires. */
export type LookOptions = Omit<ExitQuery, "limit" | "sort"> & { follow?: boolean; signal?: AbortSignal };

export type ExitChange = { type: "exit"; exit: ExitView } | { type: "gone"; peer: string; service: string };
