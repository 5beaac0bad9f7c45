import { formatAmount, formatBytes, formatDuration, GiB, type Unit } from "../lib/units.ts";
import type { EgressView, MappingView, ServeService, ServingView, SessionView } from "../node/types.ts";

type Price = { perGiB: bigint; perHour: bigint };

/** "0.1 MYST/GiB + 0.01 MYST/h", or "free" */
export function priceText({ perGiB, perHour }: Price, unit: Unit): string {
  const parts = [perGiB > 0n && `${formatAmount(perGiB, unit)}/GiB`, perHour > 0n && `${formatAmount(perHour, unit)}/h`].filter(Boolean);
  return parts.length > 0 ? parts.join(" + ") : "free";
}

/** "2 %", "1.5 %": of hundredths of a percent */
export const percentText = (bps: number): string => `${bps / 100} %`;

/** How far a budget reaches at a price, when used for nothing but traffic, and when nothing is carried. */
export function reachText({ perGiB, perHour }: Price, budget: bigint): string {
  const reach = [
    perGiB > 0n && formatBytes((budget * GiB) / perGiB),
    perHour > 0n && formatDuration(Number((budget * 3_600_000n) / perHour)),
  ].filter(Boolean);
  return reach.length > 0 ? `reaches for ${reach.join(" or ")}` : "nothing will be spent";
}

/** Amounts in a live line: six digits after the point are enough there. */
export const roughAmount = (amount: bigint, unit: Unit): string => formatAmount(amount, unit, 6);

export const timeText = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

/** When something may be done from: never a minute that has begun before. */
export const fromText = (ms: number): string => `${timeText(Math.ceil(ms / 60_000) * 60_000)} UTC`;

/** "now", "40s", "7m", "5h", "12d": how long ago, for tables */
export function agoText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 5) return "now";
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

export const lastedMs = ({ startedMs, endedMs }: Pick<SessionView, "startedMs" | "endedMs">, nowMs: number): number =>
  Math.max(0, (endedMs ?? nowMs) - startedMs);

/** "kernel on UDP 51820, out by eth0" */
export const tunnelText = ({ backend, listenPort, egressIf, endpoint, ipv6 }: Extract<ServeService, { kind: "wireguard" }>): string =>
  [
    `${backend ?? "wireguard"} on UDP ${listenPort}`,
    endpoint && `reached at ${endpoint}`,
    egressIf && `out by ${egressIf}`,
    ipv6 && "IPv6 too",
  ]
    .filter(Boolean)
    .join(", ");

/** "192.168.1.1 forwards tcp 4480 and udp 51820 of 203.0.113.9, by upnp" */
export function mappingText({ state, by, router, outside, ports = [], why }: MappingView): string {
  if (state === "none") return why ?? "it maps nothing";
  const own = ports.map(({ protocol, port, outside: at }) => `${protocol} ${at}${at === port ? "" : ` (here ${port})`}`).join(" and ");
  if (by === "hand") return `peers come in by ${own} of ${outside}, which nobody here has asked for`;
  return `${router} forwards ${own} of ${outside}, by ${by}${state === "announced" || why === undefined ? "" : `; not announced: ${why}`}`;
}

/** "20 Mbit/s" */
export const rateText = (bits: number): string => {
  const [power, name] = (
    [
      [1e9, "Gbit/s"],
      [1e6, "Mbit/s"],
    ] as const
  ).find(([least]) => bits >= least) ?? [1e3, "Kbit/s"];
  return `${Math.round((bits / power) * 100) / 100} ${name}`;
};

/** "up to 20 Mbit/s for each client, 100 Mbit/s in all, each way" */
export function speedText({ speed: { perClient, whole } = {} }: Pick<ServeService, "speed">): string | undefined {
  const limits = [
    perClient !== undefined && `${rateText(perClient)} for each client`,
    whole !== undefined && `${rateText(whole)} for all together`,
  ].filter(Boolean);
  return limits.length > 0 ? `up to ${limits.join(", ")}, each way` : undefined;
}

/** "12.3 GiB of 500 GiB carried this month" */
export const capText = ({ carried, monthlyCap }: ServingView): string | undefined =>
  monthlyCap === undefined ? undefined : `${formatBytes(carried)} of ${formatBytes(monthlyCap)} carried this month`;

/** "45.1.2.3 in NL, as 3 peers see it", where traffic comes out */
export const egressText = ({ address, country, observers, elsewhere }: EgressView): string =>
  `${address}${country === undefined ? "" : ` in ${country}`}, as ${observers} peers see it${elsewhere ? ": not in the country claimed" : ""}`;

/** What a session was and cost, as name and value. */
export const sessionFacts = (session: SessionView, unit: Unit, nowMs: number): Record<string, string | undefined> => ({
  session: session.id,
  role: session.role,
  state: session.state,
  [session.role === "consumer" ? "exit" : "consumer"]: session.peer,
  country: session.country,
  service: session.service,
  price: priceText(session, unit),
  started: timeText(session.startedMs),
  lasted: formatDuration(lastedMs(session, nowMs)),
  carried: formatBytes(session.usedBytes),
  bought: `${formatBytes(session.billedBytes)} and ${formatDuration(session.billedMs)}`,
  promised: `${formatAmount(session.promised, unit)} in ${session.promises} promises`,
  "carried in": session.carriedIn > 0n ? formatAmount(session.carriedIn, unit) : undefined,
  cleared: session.cleared === undefined ? undefined : formatAmount(session.cleared, unit),
  budget: session.budget === undefined ? undefined : formatAmount(session.budget, unit),
  "comes out": session.egress && egressText(session.egress),
  reason: session.reason,
});
