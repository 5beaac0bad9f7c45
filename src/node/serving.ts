import type { Discovery, OfferContent } from "../discovery/discovery.ts";
import { assertCurveSpeed } from "../identity/curve-speed.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import { every, within } from "../lib/lifecycle.ts";
import type { Network } from "../network/network.ts";
import type { Settler } from "../payments/settler.ts";
import type { Helper } from "../services/wireguard/types.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import { answerHeld, resumeLost } from "../session/resume.ts";
import { createSessionServer, type ServerDeps } from "../session/server.ts";
import { openCarried } from "./carried.ts";
import { openMapping } from "./mapping.ts";
import { createOpening } from "./opening.ts";
import { openSellable, type Sellable } from "./selling.ts";
import type { ServeOptions, ServingView } from "./types.ts";
import { openWatchers, type Watchers, type WatchersDeps } from "./watchers.ts";

export type ServingDeps = Omit<ServerDeps, "settler"> &
  Pick<WatchersDeps, "chain" | "store" | "identity" | "handed"> & {
    network: Network;
    helper?: Helper;
    discovery: Pick<Discovery, "announce" | "withdraw" | "offers" | "search">;
    settler: Settler;
    onSession(session: ProviderSession): void;
    /** what was sold is not there any more: nothing is offered from now on */
    onBroken(error: MystError): void;
  };

export type Serving = {
  options: ServeOptions;
  /** what is sold, as it runs */
  view(): ServingView;
  sessions(): ProviderSession[];
  watchers: Watchers;
  stop(): Promise<void>;
};

/** how long it may take at the end to hand out checks for what is not cleared */
const lastHandingMs = 2_000;

/** how often it is looked whether the hours have begun or ended */
const openingMs = 10_000;

/** Opens what is sold, answers proposals, and announces the offer; in this order, so that nothing is offered that is not there. */
export async function startServing(deps: ServingDeps, options: ServeOptions): Promise<Serving> {
  const slow = assertCurveSpeed();
  if (slow) deps.log.warn(slow.message, { code: slow.code, ...(slow.hint !== undefined && { hint: slow.hint }) });
  await using undo = new AsyncDisposableStack();
  const sold: Sellable[] = [];
  const mapping = undo.use(openMapping({ ...deps, log: deps.log.child("mapping") }));
  for (const wanted of options.services) {
    const one = await openSellable({ ...deps, mapped: mapping.endpoint }, wanted, options.maxSessions);
    undo.use(one.service);
    sold.push(one);
  }
  const watchers = undo.use(await openWatchers(deps, options));
  const carried = await openCarried(deps);
  undo.defer(carried.close);
  const opening = createOpening({ clock: deps.clock, carried }, options, (closed) => {
    announce();
    if (closed && !closed.fillsUp)
      for (const session of server.sessions()) session.send({ type: "expelled", code: "EXIT_FULL", message: closed.why });
  });
  const counted = new Map<string, bigint>();
  const count = ({ id, state }: ProviderSession) => {
    const { bytes } = state().used;
    opening.carried(bytes - (counted.get(id) ?? 0n));
    counted.set(id, bytes);
  };
  const server = await createSessionServer(deps, {
    services: sold,
    maxSessions: options.maxSessions,
    closed: () => opening.closed()?.why,
    allowPayers: options.allowPayers,
    blockPayers: options.blockPayers,
    onChange: (session, event) => {
      deps.onSession(session);
      if (event.type === "used" || event.type === "ended") count(session);
      if (event.type === "admitted" || event.type === "ended") announce();
      if (event.type === "ended") {
        counted.delete(session.id);
        void watchers.handOut();
      }
    },
  });
  const content = (): OfferContent => ({
    country: options.country,
    ...(options.city !== undefined && { city: options.city }),
    ...(options.payout !== undefined && options.payout !== deps.self && { owner: options.payout }),
    networkKind: options.networkKind ?? "unknown",
    services: [...sold.map(({ view: { kind, perGiB, perHour } }) => ({ kind, perGiB, perHour })), ...watchers.offered],
    // what is sold side by side has one policy
    policy: [...new Set(sold.map(({ service }) => service.policySummary()))].filter(Boolean).join("; "),
    closedPorts: [...new Set(sold.flatMap(({ service }) => service.closedPorts()))].sort((a, b) => a - b),
    maxSessions: options.maxSessions,
    // what may not begin finds no room
    sessions: opening.closed() ? options.maxSessions : server.sessions().length,
  });
  const announce = () => {
    deps.discovery.announce(content()).catch((error) => deps.log.warn("the offer was not announced", { error: String(error) }));
  };
  // an operator that names an endpoint has it mapped already
  if (options.upnp) mapping.start(sold.flatMap(({ view }) => (view.kind === "wireguard" && !view.endpoint ? [view.listenPort] : []))[0]);
  const isOffering = content().services.length > 0;
  if (isOffering) await deps.discovery.announce(content());
  deps.settler.start();
  await answerHeld(deps);
  const resuming = new AbortController();
  undo.defer(() => resuming.abort());
  resumeLost({ ...deps, signal: resuming.signal });
  undo.use(
    every(
      deps.clock,
      openingMs,
      async () => opening.look(),
      () => undefined,
    ),
  );
  const opened = undo.move();
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    if (isOffering) await deps.discovery.withdraw();
    await server.stop();
    await within(watchers.handOut(), lastHandingMs, "INTERRUPTED", "handing out checks").catch(() => undefined);
    await opened.disposeAsync();
  };
  const stopOnce = () => {
    stopping ??= stop();
    return stopping;
  };
  if (sold.some(({ view }) => view.kind === "wireguard"))
    void deps.helper?.ended.then((reason) => {
      if (stopping) return;
      deps.onBroken(new MystError("TUNNEL_FAILED", `the tunnel's helper has ended: ${reason}`, { hint: "see 'mystnode doctor'" }));
      stopOnce().catch((error) => deps.log.warn("serving did not end in order", { code: asMystError(error).code }));
    });
  const view = (): ServingView => {
    const closed = opening.closed()?.why;
    const mapped = mapping.view();
    return {
      ...{ country: options.country, services: sold.map((one) => one.view), maxSessions: options.maxSessions },
      sessions: server.sessions().length,
      carried: carried.bytes(),
      ...(options.monthlyCap !== undefined && { monthlyCap: options.monthlyCap }),
      ...(closed !== undefined && { closed }),
      watching: watchers.view(),
      ...(mapped && { mapping: mapped }),
    };
  };
  return { options, view, sessions: server.sessions, watchers, stop: stopOnce };
}
