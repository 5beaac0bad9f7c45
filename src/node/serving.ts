import type { Discovery, OfferContent } from "../discovery/discovery.ts";
import { MystError } from "../lib/errors.ts";
import type { Network } from "../network/network.ts";
import type { Settler } from "../payments/settler.ts";
import { createProxyProvider } from "../services/proxy/provider.ts";
import type { ServiceProvider } from "../services/service.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import { createSessionServer, type ServedService, type ServerDeps } from "../session/server.ts";
import type { ServeOptions, ServeService } from "./types.ts";

export type ServingDeps = Omit<ServerDeps, "settler"> & {
  network: Network;
  discovery: Pick<Discovery, "announce" | "withdraw">;
  settler: Settler;
  onSession(session: ProviderSession): void;
};

export type Serving = {
  options: ServeOptions;
  sessions(): ProviderSession[];
  stop(): Promise<void>;
};

/** Opens what is sold, answers proposals, and announces the offer; in this order, so that nothing is offered that is not there. */
export async function startServing(deps: ServingDeps, options: ServeOptions): Promise<Serving> {
  const services = options.services.map((service) => ({ ...service, service: createProvider(deps, service) }));
  const server = await createSessionServer(deps, {
    services: services satisfies ServedService[],
    maxSessions: options.maxSessions,
    onChange: (session, event) => {
      deps.onSession(session);
      if (event.type === "admitted" || event.type === "ended") announce();
    },
  });
  const content = (): OfferContent => ({
    country: options.country,
    ...(options.city !== undefined && { city: options.city }),
    networkKind: options.networkKind ?? "unknown",
    services: services.map(({ kind, perGiB, perHour }) => ({ kind, perGiB, perHour })),
    policy: services.map(({ service }) => service.policySummary()).join("; "),
    maxSessions: options.maxSessions,
    sessions: server.sessions().length,
  });
  const announce = () => {
    deps.discovery.announce(content()).catch((error) => deps.log.warn("the offer was not announced", { error: String(error) }));
  };
  if (services.length > 0) await deps.discovery.announce(content());
  deps.settler.start();
  return {
    options,
    sessions: server.sessions,
    stop: async () => {
      if (services.length > 0) await deps.discovery.withdraw();
      await server.stop();
      for (const { service } of services) await service[Symbol.asyncDispose]();
    },
  };
}

/** The one place that knows which kinds of service there are to sell. */
function createProvider(deps: ServingDeps, { kind, allow, block, egressAddress }: ServeService): ServiceProvider {
  if (kind !== "proxy") throw new MystError("SERVICE_UNKNOWN", `there is no service '${kind}'`, { hint: "services: proxy" });
  return createProxyProvider(deps, { allow, block, ...(egressAddress !== undefined && { egressAddress }) });
}
