import { isMystError, MystError } from "../lib/errors.ts";
import { formatBytes, formatDuration, type Unit } from "../lib/units.ts";
import { killSwitchStands } from "../node/helper.ts";
import type { FailoverView, NodeStatus, WatchingView } from "../node/types.ts";
import { connectedApi } from "./connected.ts";
import type { Run } from "./context.ts";
import { stepLine } from "./following.ts";
import { facts, shortPeer } from "./format.ts";
import { networkOf } from "./hosting.ts";
import { capText, egressText, mappingText, percentText, priceText, roughAmount, speedText, tunnelText } from "./texts.ts";

const switchesShown = 3;

/** The running node at a glance. */
export const status: Run<"status"> = async ({ settings, out, interrupts }) => {
  const api = await connectedApi(settings.dataDir, interrupts.signal).catch(async (error) => {
    throw isMystError(error, "NODE_NOT_RUNNING") && (await killSwitchStands()) ? cutOff() : error;
  });
  const now = await api.call("status", {}, interrupts.signal);
  const { token } = await networkOf(api);
  out.object(now);
  out.print(facts(statusFacts(now, token)));
};

/** Intent and fact of a machine whose connection's node has ended. */
const cutOff = (): MystError =>
  new MystError("NODE_NOT_RUNNING", "no node runs, and the kill switch of its connection still stands: nothing leaves this machine", {
    hint: "as root: 'mystnode connect' to go on, 'mystnode disconnect' to lift it",
    meta: { intent: "secured", fact: "blocked" },
  });

export function statusFacts(now: NodeStatus, unit: Unit): Record<string, string | string[] | undefined> {
  const { serving, connection, tunnel, chain } = now;
  return {
    peer: now.peer,
    address: now.address,
    network: now.network,
    up: formatDuration(now.uptimeMs),
    listening: now.addresses.length > 0 ? now.addresses : "no, it only dials",
    peers: `${now.peers.length} connected, ${now.exitsKnown} exits known`,
    serving: serving && [
      ...serving.services.flatMap((service) => [
        `${service.kind} in ${serving.country} at ${priceText(service, unit)}`,
        ...(service.kind === "wireguard" ? [tunnelText(service)] : []),
        ...[speedText(service)].filter((text) => text !== undefined),
      ]),
      `${serving.sessions} of ${serving.maxSessions} sessions`,
      ...(serving.mapping ? [`router: ${mappingText(serving.mapping)}`] : []),
      ...[capText(serving), serving.closed].filter((text) => text !== undefined),
    ],
    ...watchingFacts(serving?.watching, unit),
    cheats: now.conflicts?.length ? now.conflicts.map((one) => conflictText(one, unit)) : undefined,
    connection: connection && [
      [connection.state, connection.country].filter(Boolean).join(", "),
      `exit ${connection.peer}`,
      `${formatBytes(connection.usedBytes)}, ${roughAmount(connection.promised, unit)} promised`,
      ...(connection.egress ? [`comes out of ${egressText(connection.egress)}`] : []),
      ...Object.entries(connection.endpoint).map(([name, value]) => `${name} ${value}`),
      ...firstLines(connection.first, unit),
      ...failoverLines(connection.failover, unit),
    ],
    tunnel: tunnel && tunnelLine(tunnel),
    chain: chainText(chain),
  };
}

/** What is cleared for others while they are away, and by others while this node is. */
function watchingFacts({ forOthers, byOthers }: WatchingView = {}, unit: Unit): Record<string, string | string[] | undefined> {
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const on = (amount: bigint, channels: number) => `${roughAmount(amount, unit)} on ${count(channels, "channel")}`;
  return {
    watching: forOthers && [
      `${on(forOthers.amount, forOthers.channels)} of ${count(forOthers.providers, "exit")}, for ${percentText(forOthers.feeBps)}`,
      `${forOthers.cleared} cleared since the start, ${roughAmount(forOthers.earned, unit)} earned`,
    ],
    watched: byOthers && `${on(byOthers.amount, byOthers.channels)} by ${byOthers.by.map(shortPeer).join(", ")}`,
  };
}
const conflictText = ({ signer, owed }: NonNullable<NodeStatus["conflicts"]>[number], unit: Unit): string =>
  `${signer} has signed what cannot all be true; ${owed > 0n ? `${roughAmount(owed, unit)} owed here` : "nothing owed here"}`;
/** With two hops: the exit that carries the tunnel to the other. */
function firstLines(first: NonNullable<NodeStatus["connection"]>["first"], unit: Unit): string[] {
  if (!first) return [];
  const { interface: ifname, address, via } = first.endpoint;
  return [
    `first exit ${first.peer}`,
    `first hop ${[first.country, formatBytes(first.usedBytes)].filter(Boolean).join(", ")}, ${roughAmount(first.promised, unit)} promised`,
    `first tunnel ${ifname}, ${address} via ${via}`,
  ];
}

/** What stands by, and by whom it was carried before. */
export function failoverLines({ choice, state, standby, usedBytes, promised, switches }: FailoverView, unit: Unit): string[] {
  if (choice === "off") return [];
  const told = switches.flatMap((step) => stepLine(step)?.replace("✔ ", "") ?? []);
  return [
    ...(state === "looking" ? ["no exit carries it at the moment: looking for one"] : []),
    standby ? `standby ${standby.country} ${standby.peer}` : choice === "any" ? "no standby" : "only this exit",
    ...(switches.length > 0 ? [`in all ${formatBytes(usedBytes)}, ${roughAmount(promised, unit)} promised`] : []),
    ...told.slice(-switchesShown),
  ];
}

/** Intent and fact: "wanted, up: mystn0 by kernel", "not wanted, down". */
export const tunnelLine = ({ intent, fact, problem, interface: ifname, backend }: NonNullable<NodeStatus["tunnel"]>): string =>
  [
    { secured: "wanted", unguarded: "wanted without a kill switch", open: "not wanted" }[intent],
    `, ${fact}`,
    ifname && fact === "up" ? `: ${ifname}${backend ? ` by ${backend}` : ""}` : "",
    problem ? ` (${problem})` : "",
    fact === "blocked" ? "; 'mystnode connect' or 'mystnode disconnect' ends it" : "",
  ].join("");

export const chainText = ({ reachable, block, problem }: NodeStatus["chain"]): string =>
  reachable ? `reachable, block ${block ?? "?"}` : problem === undefined ? "not asked yet" : `not reachable: ${problem}`;
