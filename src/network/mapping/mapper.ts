import { asMystError, MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import { isPublic } from "../diversity.ts";
import { findLan, type Lan } from "./gateway.ts";
import { findRouter, type Mapped, type Router } from "./router.ts";

/** What is to be mapped: all of it, or nothing. */
export type Port = Pick<Mapped, "protocol" | "port">;
/** `outside`: the router's own address */
export type Mapping = { by: Router["by"]; lan: Lan; outside: string; ports: Mapped[] };

/** so long a mapping outlives a node that was killed; it is renewed long before */
const leaseMs = 20 * 60_000;
const findMs = 6_000;
const askMs = 6_000;
/** a node that ends does not wait for long for a router that has gone */
const releaseMs = 3_000;

export type Mapper = {
  /**
   * Maps, or renews, all ports, together.
   * @throws PEER_REFUSED where there is no router, it maps nothing, or has no public address itself; PEER_TIMEOUT, MALFORMED. Nothing is mapped then
   */
  renew(ports: Port[], signal: AbortSignal): Promise<Mapping>;
  /** Takes back what is mapped. Never throws. */
  release(): Promise<void>;
};

export type MapperDeps = { findLan?: typeof findLan; findRouter?: typeof findRouter };

/** Asks the router of this network for ports of its own that lead to ours. */
export function createMapper(deps: MapperDeps = {}): Mapper {
  const seek = { findLan, findRouter, ...deps };
  let known: { lan: Lan; router: Router } | undefined;
  let mapped: Mapped[] = [];

  const take = async () => {
    const before = mapped;
    mapped = [];
    const router = known?.router;
    if (router) await Promise.allSettled(before.map((one) => router.unmap(one, deadline(releaseMs))));
  };
  const routerOf = async (signal: AbortSignal) => {
    const lan = await seek.findLan();
    if (!lan) throw new MystError("PEER_REFUSED", "there is no router that leads out of the local network");
    if (known && (known.lan.gateway !== lan.gateway || known.lan.address !== lan.address)) {
      await take();
      known = undefined;
    }
    known ??= { lan, router: await seek.findRouter(lan, deadline(findMs, signal)) };
    return known;
  };
  const renew = async (ports: Port[], signal: AbortSignal): Promise<Mapping> => {
    const { lan, router } = await routerOf(signal);
    const outside = await router.externalAddress(signal);
    if (!isPublic(`/ip4/${outside}`))
      throw new MystError("PEER_REFUSED", `the router's own address ${outside} is not public: it is behind another NAT itself`);
    const asked: Mapped[] = [];
    for (const port of ports) {
      const before = mapped.find((one) => one.protocol === port.protocol && one.port === port.port);
      const made = await router.map({ ...port, outside: before?.outside ?? port.port, leaseMs }, signal);
      if (before && before.outside !== made.outside) await router.unmap(before, signal).catch(() => undefined);
      mapped = [...mapped.filter((one) => one !== before), made];
      asked.push(made);
    }
    return { by: router.by, lan, outside, ports: asked };
  };
  return {
    renew: async (ports, signal) => {
      const limit = deadline(findMs + askMs * (1 + ports.length), signal);
      try {
        return await renew(ports, limit);
      } catch (error) {
        // half of it is of no use, and a router that has been started again is found anew
        await take();
        known = undefined;
        throw asMystError(error);
      }
    },
    release: take,
  };
}
