import { MystError } from "../lib/errors.ts";
import { quantumBound } from "../payments/quantum.ts";
import { due } from "../payments/terms.ts";
import { sentAtMost } from "../services/meter.ts";
import type { RouterTraffic } from "./ground.ts";

/** by how much the bytes used may differ from those that the router saw, in percent of the latter */
const toleratedPercent = 3n;

/** What one whole cycle showed, each fact from whoever knows it first-hand. Amounts in base units. */
export type CycleFacts = {
  service: string;
  /** what carries the tunnel; undefined without one */
  backend?: string;
  /** what the router between consumer and exit has counted of the session; absent where there is none */
  router?: RouterTraffic;
  country: string;
  exitPeer: string;
  /** the address that the exit was told to go out from */
  exitAddress: string;
  /** what the web server saw: through the exit, and of a request made without it */
  addressSeen: string;
  directAddress: string;
  /** every exit has an address of its own to go out from; not so where the system gives loopback only one */
  ownAddresses: boolean;
  payloadBytes: bigint;
  /** of the consumer's session */
  session: {
    perGiB: bigint;
    perHour: bigint;
    usedBytes: bigint;
    usedMs: number;
    billedBytes: bigint;
    billedMs: number;
    promises: number;
    promised: bigint;
    carriedIn: bigint;
  };
  /** what the exit says the contract has paid it for the session */
  cleared: bigint;
  /** by how much the exit's token balance rose on chain, read by us */
  providerReceived: bigint;
  connectMs: number;
  firstByteMs: number;
  downloadMs: number;
  sources: string[];
};

/** The cycle as `devnet --once --json` prints it. Amounts and bytes are decimal strings. */
export type CycleReport = {
  v: 1;
  service: string;
  /** what carries the tunnel; "none" for a service without one */
  backend: string;
  country: string;
  addressSeen: string;
  exitAddress: string;
  directAddress: string;
  payloadBytes: string;
  /** bought: what the promises cover; `elapsedMs` is the time they cover */
  billedBytes: string;
  elapsedMs: number;
  promises: number;
  promised: string;
  cleared: string;
  providerReceived: string;
  /** from the command to an open session; to the first byte of a page */
  connectMs: number;
  firstByteMs: number;
  mbps: number;
  sources: string[];
  exitPeer: string;
  terms: { perGiB: string; perHour: string };
  usedBytes: string;
  usedMs: number;
  carriedIn: string;
  /** bought bytes for each byte downloaded */
  billedToPayload: number;
  /** UDP payload of the tunnel as the router between consumer and exit counted it, both directions together */
  routerBytes?: string;
  /** packets of the consumer, while it was connected, that were neither tunnel nor control plane */
  outsidePackets?: number;
};

/** What does not add up in a cycle, each as one sentence. */
export function cycleFaults(facts: CycleFacts): string[] {
  const { session } = facts;
  const bought = due(session, { bytes: session.billedBytes, ms: session.billedMs });
  const owed = bought > session.carriedIn ? bought - session.carriedIn : 0n;
  const faults: string[] = [];
  if (facts.ownAddresses && facts.addressSeen !== facts.exitAddress)
    faults.push(`the web server saw ${facts.addressSeen}, the exit goes out from ${facts.exitAddress}`);
  if (facts.ownAddresses && facts.addressSeen === facts.directAddress)
    faults.push(`the web server saw ${facts.addressSeen} with the exit and without`);
  if (session.promised !== owed)
    faults.push(`promised ${session.promised}, but ${session.billedBytes} bytes and ${session.billedMs} ms cost ${owed}`);
  if (session.usedBytes < facts.payloadBytes) faults.push(`${facts.payloadBytes} bytes came, ${session.usedBytes} were counted`);
  if (session.usedBytes > session.billedBytes) faults.push(`${session.usedBytes} bytes used, ${session.billedBytes} bought`);
  if (session.usedMs > session.billedMs) faults.push(`${session.usedMs} ms used, ${session.billedMs} bought`);
  if (facts.cleared !== session.promised) faults.push(`promised ${session.promised}, cleared ${facts.cleared}`);
  if (facts.providerReceived !== facts.cleared)
    faults.push(`cleared ${facts.cleared}, the exit's balance rose by ${facts.providerReceived}`);
  // the consumer counts, and buys for, what its machine has thrown away; the last count is the exit's, without what was lost on the way
  const counted = facts.backend === undefined ? session.usedBytes : sentAtMost(session.usedBytes);
  if (session.billedBytes > counted + quantumBound(counted))
    faults.push(`${session.billedBytes} bytes bought, over a quantum more than the ${session.usedBytes} used`);
  faults.push(...routerFaults(facts));
  if (facts.sources.length === 0) faults.push("no source of offers had the exit");
  return faults;
}

/** A tunnel is seen by the router, and nothing else of the consumer is. */
function routerFaults({ backend, router, session }: CycleFacts): string[] {
  if (!router) return [];
  const { tunnelBytes, outsidePackets } = router;
  const faults: string[] = [];
  if (backend === undefined) faults.push("nothing says what carries the tunnel");
  const difference = session.usedBytes > tunnelBytes ? session.usedBytes - tunnelBytes : tunnelBytes - session.usedBytes;
  if (difference * 100n > tunnelBytes * toleratedPercent)
    faults.push(`${session.usedBytes} bytes used, but the router saw ${tunnelBytes} of the tunnel`);
  if (outsidePackets !== 0) faults.push(`${outsidePackets} packets of the consumer went outside of the tunnel`);
  return faults;
}

/**
 * The report of a cycle that adds up.
 * @throws INTERNAL naming what does not
 */
export function cycleReport(facts: CycleFacts): CycleReport {
  const faults = cycleFaults(facts);
  if (faults.length > 0) throw new MystError("INTERNAL", `the cycle does not add up: ${faults.join("; ")}`);
  const { session, router } = facts;
  return {
    v: 1,
    service: facts.service,
    backend: facts.backend ?? "none",
    country: facts.country,
    addressSeen: facts.addressSeen,
    exitAddress: facts.exitAddress,
    directAddress: facts.directAddress,
    payloadBytes: String(facts.payloadBytes),
    billedBytes: String(session.billedBytes),
    elapsedMs: session.billedMs,
    promises: session.promises,
    promised: String(session.promised),
    cleared: String(facts.cleared),
    providerReceived: String(facts.providerReceived),
    connectMs: Math.round(facts.connectMs),
    firstByteMs: Math.round(facts.firstByteMs),
    mbps: megabits(facts.payloadBytes, facts.downloadMs),
    sources: facts.sources,
    exitPeer: facts.exitPeer,
    terms: { perGiB: String(session.perGiB), perHour: String(session.perHour) },
    usedBytes: String(session.usedBytes),
    usedMs: session.usedMs,
    carriedIn: String(session.carriedIn),
    billedToPayload: ratio(session.billedBytes, facts.payloadBytes),
    ...(router && { routerBytes: String(router.tunnelBytes), outsidePackets: router.outsidePackets }),
  };
}

const ratio = (part: bigint, whole: bigint): number => (whole > 0n ? Math.round((Number(part) / Number(whole)) * 10_000) / 10_000 : 0);

/** Mbit/s with one decimal; 0 for no time at all. */
export const megabits = (bytes: bigint | number, ms: number): number => (ms > 0 ? Math.round((Number(bytes) * 8) / ms / 100) / 10 : 0);
