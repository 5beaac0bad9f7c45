import type { Shaping } from "./shaping.ts";

/**
 * What the product wants of a host's network, as data: nothing here does anything. `createHostNet` (../host) applies it, looks whether
 * it still stands, and takes it back.
 */
export type HostPlan = {
  kind: PlanKind;
  /** the tunnel's interface; the backend makes it, the plan names it */
  ifname: string;
  /** a client's with two hops: the interface of the tunnel that this one goes through */
  first?: string;
  /** the one nft table of the plan, in family inet */
  table: string;
  /** one transaction for `nft -f -`: makes the table anew, whether it was there or not */
  nft: string;
  /**
   * The part of it that must never be missing, once more in a table of its own that only the process may change which has made it; it goes with that
   * process. So neither `nft flush ruleset` nor the end of that process leaves nothing. Absent for an exit.
   */
  hold?: { table: string; body: string };
  /** in this order, each applied once */
  steps: IpStep[];
  /** queues that hold back what is too fast; absent where nothing is limited */
  shaping?: Shaping;
  /** in this order; read first, written only where different */
  sysctls: Sysctl[];
  /** what other firewalls must let pass; empty for a client */
  accepts: Accept[];
};

export type PlanKind = "exit" | "client";

/** A line for `ip -4 -batch -` or `ip -6 -batch -`, and the line that takes it back. */
export type IpStep = { family: 4 | 6; add: string; del: string };

/** The key is a path below /proc/sys, since the name of an interface may hold a dot: "net/ipv4/ip_forward", "1". */
export type Sysctl = { key: string; value: string };

/**
 * What the sockets of a tunnel process are to be made with: bytes that wait for it before the kernel throws away what comes next. The usual 208 KiB
 * are 92 full packets, which is less than comes in while a busy machine lets it wait. Read when a socket is made, for all of the machine.
 */
export const receiveBuffer: Sysctl = { key: "net/core/rmem_default", value: String(4 * 1024 * 1024) };

/**
 * TCP finds a smaller size by itself where large packets are lost without a word (RFC 4821): the control plane's own connections have no tunnel that
 * fits them to the way. Off by default; and where it is on it tries 1,024 bytes first and then half of that, for which nobody waits long enough.
 */
export const blackHoles: Sysctl[] = [
  { key: "net/ipv4/tcp_mtu_probing", value: "1" },
  { key: "net/ipv4/tcp_base_mss", value: "512" },
];

/** A rule for the head of a chain of table `ip filter` (or `ip6 filter`), where that chain exists: `iifname "…" counter accept`. */
export type Accept = { chain: string; rule: string; family?: 6 };

export const exitTable = "mystnode";
export const killSwitchTable = "mystnode_ks";
export const holdTable = "mystnode_hold";
/** What our rules in chains of others are found by, when they are to go. */
export const ruleComment = "mystnode";

/** One transaction that replaces the table, whether it is there or not (`delete` alone fails where it is not). */
export const replaceTable = (table: string, body: string): string =>
  `add table inet ${table}\ndelete table inet ${table}\ntable inet ${table} {\n${body}\n}\n`;

/** One transaction that removes the table, whether it is there or not. */
export const removeTable = (table: string): string => `add table inet ${table}\ndelete table inet ${table}\n`;
