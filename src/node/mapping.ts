import type { Clock } from "../lib/clock.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Reach } from "../network/dial-back.ts";
import { isLoopback, isPublic, placeOf } from "../network/diversity.ts";
import type { Mapper, Mapping, Port } from "../network/mapping/mapper.ts";
import type { Network } from "../network/network.ts";
import type { HostPort } from "../network/own-addresses.ts";
import type { MappingView } from "./types.ts";

type Deps = {
  network: Pick<Network, "listening" | "announce" | "reach">;
  clock: Pick<Clock, "sleep">;
  log: Logger;
  mapper?: Mapper;
};

export type RouterMapping = AsyncDisposable & {
  /** Where clients reach WireGuard, once its port is mapped and others have come through the router. */
  endpoint(): HostPort | undefined;
  /** undefined where nothing is to be mapped */
  view(): MappingView | undefined;
  /** Begins. `udp`: WireGuard's port, where there is one. */
  start(udp: number | undefined): void;
};

/** How often leases are renewed, how soon peers are asked again where none has answered, and for how long it is good what was shown. */
const usual = { renewMs: 5 * 60_000, soonMs: 2_000, goodMs: 30 * 60_000 };
/** once a start should have found some peers they are asked again less soon */
const lateMs = 30_000;
const startMs = 60_000;

/** The place to be mapped, of those that this peer listens at: none where one is public, or leads to nobody outside. */
export function placeToMap(listening: string[]): HostPort | undefined {
  if (listening.some((address) => address.startsWith("/ip4/") && isPublic(address))) return undefined;
  const inside = listening.find((address) => address.startsWith("/ip4/") && !isLoopback(address));
  return inside === undefined ? undefined : placeOf(inside);
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
export function openMapping({ network, clock, log, mapper }: Deps, { renewMs, soonMs, goodMs } = usual): RouterMapping {
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  let made = mapper;
  let view: MappingView | undefined;
  let current: { key: string; withdraw(): void; endpoint?: HostPort; atMs: number } | undefined;
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
  const announce = (key: string, own: HostPort, to: HostPort, endpoint?: HostPort) => {
    if (current?.key !== key) {
      withdraw();
      current = { key, withdraw: network.announce(own, to), ...(endpoint && { endpoint }), atMs: 0 };
    }
    current.atMs = performance.now();
  };
  /** Is this known to lead here, for now? */
  const isGood = (key: string) => current?.key === key && performance.now() - current.atMs < goodMs;

  /** @returns how soon the next round is due */
  const byRouter = async (mapping: Mapping, own: HostPort): Promise<number> => {
    const { by, lan, outside, ports } = mapping;
    const key = JSON.stringify(mapping);
    const [tcp, udp] = (["tcp", "udp"] as const).map((protocol) => ports.find((one) => one.protocol === protocol));
    if (!tcp || isGood(key)) return renewMs;
    const isKnown = current?.key === key;
    const found = await network.reach(tcp.outside, stopped.signal, isKnown ? 2 : 1);
    // what has led here is not taken back on one peer's word, nor because nobody could be asked
    if (stopped.signal.aborted || (isKnown && found.reached === "unknown")) return soonMs;
    const router = { by, router: lan.gateway, outside };
    const judgement = judgeMapping(mapping, found);
    if (judgement.leads) {
      announce(key, { ...own, host: lan.address }, { host: outside, port: tcp.outside }, udp && { host: outside, port: udp.outside });
      tell({ state: "announced", ...router, ports });
      return renewMs;
    }
    const { leads, why } = judgement;
    withdraw();
    // behind another NAT it will never lead here
    if (leads === false) await made?.release();
    tell(leads === false ? { state: "none", ...router, why } : { state: "mapped", ...router, ports, why });
    if (found.reached === "unknown") return soonMs;
    return leads === false ? goodMs : renewMs;
  };
  /** Where the router maps nothing: it may have been told by hand to have libp2p's port lead here, or whoever rents this machine out has. */
  const byHand = async (why: string, own: HostPort): Promise<number> => {
    if (isGood("hand")) return renewMs;
    const { reached, seen } = await network.reach(own.port, stopped.signal, 1);
    if (stopped.signal.aborted || reached === "unknown") return soonMs;
    if (reached === "yes" && seen !== undefined) {
      announce("hand", own, { host: seen, port: own.port });
      tell({ state: "announced", by: "hand", outside: seen, ports: [{ protocol: "tcp", port: own.port, outside: own.port }] });
      return renewMs;
    }
    withdraw();
    tell({ state: "none", why });
    return goodMs;
  };
  const keep = async (udp: number | undefined) => {
    const own = placeToMap(network.listening());
    if (!own) return;
    const ports: Port[] = [{ protocol: "tcp", port: own.port }, ...(udp === undefined ? [] : [{ protocol: "udp" as const, port: udp }])];
    made ??= (await import("../network/mapping/mapper.ts")).createMapper();
    tell({ state: "none", why: "the router is being asked" });
    const beganMs = performance.now();
    while (!stopped.signal.aborted) {
      const mapping = await made.renew(ports, stopped.signal).catch((error) => asMystError(error).message);
      if (stopped.signal.aborted) return;
      let dueMs = renewMs;
      if (typeof mapping !== "string") dueMs = await byRouter(mapping, own);
      else {
        if (current?.key !== "hand") withdraw();
        if (!current) tell({ state: "none", why: mapping });
        // the tunnel's port cannot be tried, so it is not believed to lead here as well
        if (udp === undefined) dueMs = await byHand(mapping, own);
      }
      if (dueMs === soonMs && performance.now() - beganMs > startMs) dueMs = lateMs;
      await clock.sleep(dueMs, stopped.signal).catch(() => undefined);
    }
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
