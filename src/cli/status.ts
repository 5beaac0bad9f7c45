import { createApiClient } from "../api/client.ts";
import { socketPathOf } from "../api/socket-path.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import { formatBytes, formatDuration, type Unit } from "../lib/units.ts";
import { killSwitchStands } from "../node/helper.ts";
import type { NodeStatus } from "../node/types.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { networkOf } from "./hosting.ts";
import { priceText, roughAmount, tunnelText } from "./texts.ts";

/** The running node at a glance. */
export const status: Run<"status"> = async ({ settings, out, interrupts }) => {
  const api = createApiClient({ socket: socketPathOf(settings.dataDir) });
  const now = await api.call("status", {}, interrupts.signal).catch(async (error) => {
    throw isMystError(error, "NODE_NOT_RUNNING") && (await killSwitchStands()) ? cutOff() : error;
  });
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
      ]),
      `${serving.sessions} of ${serving.maxSessions} sessions`,
    ],
    connection: connection && [
      `${connection.state}, ${connection.country ?? ""} exit ${connection.peer}`,
      `${formatBytes(connection.usedBytes)}, ${roughAmount(connection.promised, unit)} promised`,
      ...Object.entries(connection.endpoint).map(([name, value]) => `${name} ${value}`),
    ],
    tunnel: tunnel && tunnelLine(tunnel),
    chain: chainText(chain),
  };
}

/** Intent and fact: "wanted, up: mystn0 by kernel", "not wanted, down". */
export const tunnelLine = ({ intent, fact, problem, interface: ifname, backend }: NonNullable<NodeStatus["tunnel"]>): string =>
  [
    intent === "secured" ? "wanted" : "not wanted",
    `, ${fact}`,
    ifname && fact === "up" ? `: ${ifname}${backend ? ` by ${backend}` : ""}` : "",
    problem ? ` (${problem})` : "",
    fact === "blocked" ? "; 'mystnode connect' or 'mystnode disconnect' ends it" : "",
  ].join("");

export const chainText = ({ reachable, block, problem }: NodeStatus["chain"]): string =>
  reachable ? `reachable, block ${block ?? "?"}` : problem === undefined ? "not asked yet" : `not reachable: ${problem}`;
