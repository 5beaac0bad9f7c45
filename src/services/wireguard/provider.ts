import type { Clock } from "../../lib/clock.ts";
import { MystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import { type Carrier, createGrant } from "../counted-grant.ts";
import { parsePolicy, summary } from "../policy.ts";
import type { Admission, Grant, ServiceProvider } from "../service.ts";
import { connectionOf, ipv6Part, readRequest } from "./handshake.ts";
import type { MeetingDeps } from "./meeting.ts";
import { answerKey } from "./post-quantum.ts";
import type { BackendKind, ExitConfig, ExitTunnel, Helper, WgKey } from "./types.ts";

export type WireguardProviderDeps = {
  helper: Pick<Helper, "openExit">;
  /** answers clients' DNS questions at the gateway's address until disposed of */
  serveDns(gateway: string): Promise<AsyncDisposable>;
  /** sends back there what clients send to see which packets pass, until disposed of */
  servePaths(gateway: string): Promise<AsyncDisposable>;
  /** answers clients that look for a way through NAT */
  serveMeetings?(meetings: Pick<MeetingDeps, "tunnel" | "keyOf">): Promise<void>;
  /** where a router has it reached, now; what `endpoint` says goes before */
  mapped?(): { host: string; port: number } | undefined;
  log: Logger;
  clock: Pick<Clock, "nowMs">;
};

export type WireguardProviderOptions = Pick<
  ExitConfig,
  "listenPort" | "egressIf" | "egressAddress" | "allow" | "block" | "closedPorts" | "speed" | "flowLimit" | "ipv6"
> & {
  backend?: BackendKind;
  /** where clients reach WireGuard, when it is not the address of this peer and the port that it listens on */
  endpoint?: { host: string; port: number };
};

export type WireguardProvider = ServiceProvider & { tunnel: Pick<ExitTunnel, "backend" | "ifname" | "listenPort" | "egressIf"> };

/** what Ethernet's 1,500 leave; what of it reaches a client that one finds out */
const mtu = 1420;

/**
 * The exit of the `wireguard` service, with its tunnel open: each admitted session is a peer of it, with credit that the helper enforces.
 * @throws BAD_VALUE for a rule that is none, PRIVILEGE_NEEDED, TOOL_MISSING, PORT_IN_USE, TUNNEL_FAILED
 */
export async function openWireguardProvider(deps: WireguardProviderDeps, options: WireguardProviderOptions): Promise<WireguardProvider> {
  const { helper, log, clock } = deps;
  const { endpoint, ...rest } = options;
  const policy = parsePolicy(options);
  await using undo = new AsyncDisposableStack();
  const tunnel = undo.adopt(await helper.openExit({ ...rest, mtu }), (opened) => opened.close());
  undo.use(await deps.serveDns(tunnel.gateway));
  undo.use(await deps.servePaths(tunnel.gateway));
  /** by session id */
  const grants = new Map<string, Grant>();
  const keys = new Set<WgKey>();
  const clients = new Map<string, { peer: string; key: WgKey }>();
  const keyOf: MeetingDeps["keyOf"] = (session, peer) => (clients.get(session)?.peer === peer ? clients.get(session)?.key : undefined);
  await deps.serveMeetings?.({ tunnel, keyOf });

  const admit = async ({ sessionId, peer, request }: Admission): Promise<Grant> => {
    const { publicKey: key, kem, ipv6 } = readRequest(request);
    if (grants.has(sessionId)) throw new MystError("PEER_REFUSED", "this session has been admitted before");
    if (key === tunnel.publicKey || keys.has(key)) throw new MystError("PEER_REFUSED", "that key has a tunnel already");
    keys.add(key);
    try {
      const agreed = kem && answerKey(kem, { sessionId, consumer: key, exit: tunnel.publicKey });
      const { address, address6 } = await tunnel.admit({ publicKey: key, ...(agreed && { presharedKey: agreed.presharedKey }) });
      const outside = endpoint ?? deps.mapped?.();
      const connection = connectionOf({
        publicKey: tunnel.publicKey,
        port: outside?.port ?? tunnel.listenPort,
        ...(outside && { host: outside.host }),
        address,
        dns: tunnel.gateway,
        mtu: tunnel.mtu,
        // who has not asked may know of no such thing
        ...(ipv6 && address6 !== undefined && { address6 }),
        ...(agreed && { kem: agreed.answer }),
      });
      const carrier: Carrier = {
        counters: () => tunnel.counters(key),
        credit: (credit) => tunnel.credit(key, credit),
        dismiss: () => tunnel.dismiss(key),
      };
      const grant = createGrant({ carrier, clock }, connection, () => {
        grants.delete(sessionId);
        clients.delete(sessionId);
        keys.delete(key);
      });
      grants.set(sessionId, grant);
      clients.set(sessionId, { peer, key });
      log.debug("a tunnel was admitted", { session: sessionId, address });
      return grant;
    } catch (error) {
      keys.delete(key);
      throw error;
    }
  };

  const opened = undo.move();
  return {
    kind: "wireguard",
    policySummary: () => [summary(policy), ...(options.ipv6 ? [ipv6Part] : [])].join("; "),
    closedPorts: () => policy.closedPorts,
    tunnel,
    admit,
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([...grants.values()].map((grant) => grant.end()));
      await opened.disposeAsync();
    },
  };
}
