import { lookup } from "node:dns/promises";
import type { Clock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import { createProxyProvider } from "../services/proxy/provider.ts";
import { openRelayProvider } from "../services/relay/provider.ts";
import type { ServiceProvider } from "../services/service.ts";
import type { Helper } from "../services/wireguard/types.ts";
import { createSeeing, type SeeingDeps } from "./seeing.ts";
import type { ServeService } from "./types.ts";

export type SellingDeps = {
  network: Network;
  discovery: SeeingDeps["discovery"];
  /** where a router has WireGuard reached, now */
  mapped?(): { host: string; port: number } | undefined;
  helper?: Helper;
  clock: Clock;
  log: Logger;
};

/** A service that is ready to admit, with what it is sold for and how it runs. */
export type Sellable = { service: ServiceProvider; perGiB: bigint; perHour: bigint; view: ServeService };

/**
 * The one place that knows which kinds of service there are to sell. Opens what has to be open before it is offered.
 * @throws SERVICE_UNKNOWN, PRIVILEGE_NEEDED, BAD_ADDRESS, and what opening it throws
 */
export async function openSellable(deps: SellingDeps, wanted: ServeService, maxSessions: number): Promise<Sellable> {
  const { perGiB, perHour } = wanted;
  if (wanted.kind === "wireguard") {
    const service = await openWireguard(deps, wanted);
    const { backend, listenPort, egressIf } = service.tunnel;
    return { service, perGiB, perHour, view: { ...wanted, backend, listenPort, egressIf } };
  }
  if (wanted.kind === "proxy") {
    const { allow, block, closedPorts, egressAddress } = wanted;
    const rules = { allow, block, ...(closedPorts && { closedPorts }) };
    const service = createProxyProvider(deps, { ...rules, ...(egressAddress !== undefined && { egressAddress }) });
    return { service, perGiB, perHour, view: wanted };
  }
  if (wanted.kind === "relay") {
    const service = await openRelayProvider({ ...deps, log: deps.log.child("relay") }, { port: wanted.port, sessions: maxSessions });
    return { service, perGiB, perHour, view: { ...wanted, port: service.port } };
  }
  throw new MystError("SERVICE_UNKNOWN", `there is no service '${(wanted as ServeService).kind}'`, {
    hint: "services: wireguard, proxy, relay",
  });
}

async function openWireguard(
  { helper, log, clock, network, discovery, mapped }: SellingDeps,
  wanted: Extract<ServeService, { kind: "wireguard" }>,
) {
  if (!helper) throw needsHelper();
  // who sells none of it may be on a machine where there is none of it
  const [{ openWireguardProvider }, { serveDns }, { servePaths }, { answerMeetings }] = await Promise.all([
    import("../services/wireguard/provider.ts"),
    import("../services/wireguard/dns-forwarder.ts"),
    import("../services/wireguard/path-echo.ts"),
    import("../services/wireguard/meeting.ts"),
  ]);
  const { listenPort, backend, endpoint, egressIf, egressAddress, allow, block, closedPorts, speed, flowLimit, ipv6 } = wanted;
  return openWireguardProvider(
    {
      ...{ helper, clock, log: log.child("wireguard"), servePaths: (gateway) => servePaths(gateway), ...(mapped && { mapped }) },
      serveDns: (gateway) => serveDns({ log: log.child("dns"), clock }, { address: gateway }),
      serveMeetings: (meetings) =>
        answerMeetings({
          ...{ ...meetings, network, log: log.child("meeting") },
          see: createSeeing({ network, dialler: network, discovery, log }),
        }),
    },
    {
      listenPort,
      allow,
      block,
      ...(closedPorts && { closedPorts }),
      ...(backend !== undefined && { backend }),
      ...(speed !== undefined && { speed }),
      ...(flowLimit !== undefined && { flowLimit }),
      ...(ipv6 && { ipv6 }),
      ...(egressIf !== undefined && { egressIf }),
      ...(egressAddress !== undefined && { egressAddress }),
      ...(endpoint !== undefined && { endpoint: await resolved(endpoint) }),
    },
  );
}

/** A kind of service that this node has not been started for. */
export const needsHelper = (): MystError =>
  new MystError("PRIVILEGE_NEEDED", "a tunnel changes this machine's network, which this node may not", {
    hint: "run it as root (sudo mystnode ...), or use --service proxy, which needs no privileges",
  });

/** Clients get an address: where they ask for names is inside of the tunnel. @throws BAD_ADDRESS */
async function resolved(endpoint: string): Promise<{ host: string; port: number }> {
  const [, host = "", port = ""] = /^\[?([^\]]+)\]?:(\d+)$/.exec(endpoint) ?? [];
  const bad = (cause?: unknown) =>
    new MystError("BAD_ADDRESS", `no client can reach '${endpoint.slice(0, 80)}'`, {
      hint: "give --endpoint the public address or name of this machine, and a port, for example 203.0.113.9:51820",
      cause,
    });
  if (Number(port) === 0) throw bad();
  const { address } = await lookup(host, 4).catch((cause) => {
    throw bad(cause);
  });
  return { host: address, port: Number(port) };
}
