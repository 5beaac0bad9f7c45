import type { Clock } from "../lib/clock.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Reach } from "../network/dial-back.ts";
import { isLoopback, isPublic, placeOf } from "../network/diversity.ts";
import type { Mapper, Mapping, Port } from "../network/mapping/mapper.ts";
import type { Network } from "../network/network.ts";
import type { MappingView } from "./types.ts";

type Deps = {
  network: Pick<Network, "listening" | "announce" | "reach">;
  clock: Pick<Clock, "sleep">;
  log: Logger;
  mapper?: Mapper;
};

export type RouterMapping = AsyncDisposable & {
  /** Where clients reach WireGuard, once its port is mapped and others have come through the router. */
  endpoint(): { host: string; port: number } | undefined;
  /** undefined where nothing is to be mapped */
  view(): MappingView | undefined;
  /** Begins. `udp`: WireGuard's port, where there is one. */
  start(udp: number | undefined): void;
};

/** how often leases are renewed, and how soon peers are asked again where none has answered */
const renewMs = 5 * 60_000;
const soonMs = 2_000;
/** what was shown is shown anew after so long */
const goodMs = 30 * 60_000;

/** The TCP port to be mapped, of what this peer listens on: none where that is public, or leads to nobody outside. */
export function portToMap(listening: string[]): number | undefined {
  if (listening.some((address) => address.startsWith("/ip4/") && isPublic(address))) return undefined;
  const inside = listening.find((address) => address.startsWith("/ip4/") && !isLoopback(address));
  return inside === undefined ? undefined : placeOf(inside)?.port;
}

/** `leads`: here; false: nowhere, undefined: not known */
type Judgement = { leads: true } | { leads: false | undefined; why: string };

/**
 * Is what the router has mapped to be announced? Only where it is seen at the router's own address by those who are asked, and one of them has
 * come in by it: a router behind another NAT says much.
 */
export function judgeMapping({ outside }: Pick<Mapping, "outside">, { reached, seen }: Reach): Judgement {
  if (seen === undefined) return { leads: undefined, why: "nobody could be asked yet whether it leads here" };
  if (seen !== outside) return { leads: false, why: `the router says ${outside}, peers see this node at ${seen}: there is another NAT` };
  if (reached === "yes") return { leads: true };
  return { leads: undefined, why: "peers do not come in by it" };
}

/** Keeps ports of the router mapped to ours, the tunnel's with libp2p's or neither, and has them announced while they lead here. */
export function openMapping({ network, clock, log, mapper }: Deps): RouterMapping {
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  let made = mapper;
  let view: MappingView | undefined;
  let current: { key: string; withdraw(): void; endpoint?: { host: string; port: number }; atMs: number } | undefined;
  let told = "";

  const withdraw = () => {
    current?.withdraw();
    current = undefined;
  };
  const tell = (next: MappingView) => {
    view = next;
    const text = JSON.stringify(next);
    if (text === told) return;
    told = text;
    const { ports = [], ...rest } = next;
    log.info(next.state === "announced" ? "the router leads here" : "no port of the router is announced", {
      ...rest,
      ports: ports.map(({ protocol, port, outside }) => `${protocol} ${outside} to ${port}`).join(", "),
    });
  };
  /** @returns how soon the next round is due */
  const round = async (ports: Port[]): Promise<number> => {
    made ??= (await import("../network/mapping/mapper.ts")).createMapper();
    const mapping = await made.renew(ports, stopped.signal).catch((error) => asMystError(error).message);
    if (typeof mapping === "string") {
      withdraw();
      if (!stopped.signal.aborted) tell({ state: "none", why: mapping });
      return renewMs;
    }
    const { by, lan, outside, ports: mapped } = mapping;
    const key = JSON.stringify(mapping);
    const isKnown = current?.key === key;
    if (isKnown && performance.now() - (current?.atMs ?? 0) < goodMs) return renewMs;
    const [tcp, udp] = (["tcp", "udp"] as const).map((protocol) => mapped.find((one) => one.protocol === protocol));
    if (!tcp) return renewMs;
    const found = await network.reach(tcp.outside, stopped.signal, 1);
    // what has led here is not taken back because nobody could be asked
    if (stopped.signal.aborted || (isKnown && found.reached === "unknown")) return soonMs;
    const seen = { by, router: lan.gateway, outside, ports: mapped };
    const judgement = judgeMapping(mapping, found);
    if (!judgement.leads) {
      const { leads, why } = judgement;
      withdraw();
      // behind another NAT it will never lead here
      if (leads === false) await made.release();
      tell(leads === false ? { state: "none", by, router: lan.gateway, outside, why } : { state: "mapped", ...seen, why });
      if (found.reached === "unknown") return soonMs;
      return leads === false ? goodMs : renewMs;
    }
    if (!isKnown) {
      withdraw();
      const endpoint = udp && { host: outside, port: udp.outside };
      const undo = network.announce({ host: lan.address, port: tcp.port }, { host: outside, port: tcp.outside });
      current = { key, withdraw: undo, ...(endpoint && { endpoint }), atMs: 0 };
    }
    if (current) current.atMs = performance.now();
    tell({ state: "announced", ...seen });
    return renewMs;
  };
  const keep = async (udp: number | undefined) => {
    const tcp = portToMap(network.listening());
    if (tcp === undefined) return;
    const ports: Port[] = [{ protocol: "tcp", port: tcp }, ...(udp === undefined ? [] : [{ protocol: "udp" as const, port: udp }])];
    tell({ state: "none", why: "the router is being asked" });
    while (!stopped.signal.aborted) await clock.sleep(await round(ports), stopped.signal).catch(() => undefined);
  };
  return {
    endpoint: () => current?.endpoint,
    view: () => view,
    start: (udp) => {
      running ??= keep(udp).catch((error) => log.warn("the router is not asked any more", { error: String(error) }));
    },
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      withdraw();
      await running;
      await made?.release();
    },
  };
}

/** What the router of this network would do, for people who look: nothing is mapped. @throws as `Mapper.renew` */
export async function viewRouter(
  signal: AbortSignal,
): Promise<{ by: string; router: string; outside: string; isPublic: boolean } | undefined> {
  const [{ findLan }, { findRouter }] = await Promise.all([
    import("../network/mapping/gateway.ts"),
    import("../network/mapping/router.ts"),
  ]);
  const lan = await findLan();
  if (!lan || isPublic(`/ip4/${lan.address}`)) return undefined;
  const router = await findRouter(lan, signal);
  const outside = await router.externalAddress(signal);
  return { by: router.by, router: lan.gateway, outside, isPublic: isPublic(`/ip4/${outside}`) };
}
