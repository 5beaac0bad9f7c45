import type { Clock } from "../../lib/clock.ts";
import { MystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import { parsePolicy, summary } from "../policy.ts";
import type { Admission, Grant, ServiceProvider } from "../service.ts";
import { exitPatience } from "../unanswered.ts";
import { connectionOf, readRequest } from "./handshake.ts";
import { acknowledged, counted, creditFor, newMeter, usedBytes } from "./meter.ts";
import { answerKey } from "./post-quantum.ts";
import type { BackendKind, ExitConfig, ExitTunnel, Helper, WgKey } from "./types.ts";
import { createTunnelWaiting } from "./waiting.ts";

export type WireguardProviderDeps = {
  helper: Pick<Helper, "openExit">;
  /** answers clients' DNS questions at the gateway's address until disposed of */
  serveDns(gateway: string): Promise<AsyncDisposable>;
  /** sends back there what clients send to see which packets pass, until disposed of */
  servePaths(gateway: string): Promise<AsyncDisposable>;
  log: Logger;
  clock: Pick<Clock, "nowMs">;
};

export type WireguardProviderOptions = Pick<
  ExitConfig,
  "listenPort" | "egressIf" | "egressAddress" | "allow" | "block" | "closedPorts" | "speed" | "flowLimit"
> & {
  backend?: BackendKind;
  /** where clients reach WireGuard, when it is not the address of this peer and the port that it listens on */
  endpoint?: { host: string; port: number };
};

export type WireguardProvider = ServiceProvider & { tunnel: Pick<ExitTunnel, "backend" | "ifname" | "listenPort" | "egressIf"> };

/** what Ethernet's 1,500 leave; what of it reaches a client that one finds out */
const mtu = 1420;
/** a price of 0 per hour limits no time; what a timer takes is enough for that */
const endlessMs = 2 ** 31 - 1;

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

  const admit = async ({ sessionId, request }: Admission): Promise<Grant> => {
    const { publicKey: key, kem } = readRequest(request);
    if (grants.has(sessionId)) throw new MystError("PEER_REFUSED", "this session has been admitted before");
    if (key === tunnel.publicKey || keys.has(key)) throw new MystError("PEER_REFUSED", "that key has a tunnel already");
    keys.add(key);
    try {
      const agreed = kem && answerKey(kem, { sessionId, consumer: key, exit: tunnel.publicKey });
      const { address } = await tunnel.admit({ publicKey: key, ...(agreed && { presharedKey: agreed.presharedKey }) });
      const connection = connectionOf({
        publicKey: tunnel.publicKey,
        port: endpoint?.port ?? tunnel.listenPort,
        ...(endpoint && { host: endpoint.host }),
        address,
        dns: tunnel.gateway,
        mtu: tunnel.mtu,
        ...(agreed && { kem: agreed.answer }),
      });
      const grant = createGrant({ tunnel, clock }, { key, connection }, () => {
        grants.delete(sessionId);
        keys.delete(key);
      });
      grants.set(sessionId, grant);
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
    policySummary: () => summary(policy),
    closedPorts: () => policy.closedPorts,
    tunnel,
    admit,
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([...grants.values()].map((grant) => grant.end()));
      await opened.disposeAsync();
    },
  };
}

type GrantDeps = { tunnel: ExitTunnel; clock: Pick<Clock, "nowMs"> };

/** One session's peer: its meter, and its credit as far as it is paid for. */
function createGrant(
  { tunnel, clock }: GrantDeps,
  { key, connection }: { key: WgKey; connection: Grant["connection"] },
  gone: () => void,
): Grant {
  let meter = newMeter;
  let allowed = 0n;
  let untilMs = 0;
  let ending: Promise<bigint> | undefined;
  const waiting = createTunnelWaiting({ clock }, exitPatience);
  const look = () => {
    if (ending) return;
    meter = counted(meter, tunnel.counters(key));
    waiting.look(meter.received, meter.sent);
  };
  const give = () => {
    if (!ending) tunnel.credit(key, { totalBytes: creditFor(meter, allowed), forMs: Math.max(0, untilMs - clock.nowMs()) });
  };
  const end = async () => {
    try {
      meter = counted(meter, await tunnel.dismiss(key));
      return usedBytes(meter);
    } finally {
      gone();
    }
  };
  return {
    connection,
    usedBytes: () => {
      look();
      return usedBytes(meter);
    },
    allow: (totalBytes, forMs = endlessMs) => {
      allowed = totalBytes;
      untilMs = clock.nowMs() + forMs;
      give();
    },
    unanswered: () => {
      look();
      return waiting.read();
    },
    acknowledge: (bytes) => {
      look();
      const before = meter.lost;
      meter = acknowledged(meter, bytes, clock.nowMs());
      if (meter.lost > before && untilMs > clock.nowMs()) give();
    },
    suspend: () => {
      untilMs = 0;
      give();
    },
    end: () => {
      ending ??= end();
      return ending;
    },
  };
}
