import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KnownOffer } from "../../src/discovery/discovery.ts";
import { rank } from "../../src/discovery/rank.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { MystError } from "../../src/lib/errors.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import type { FrameStream, Network } from "../../src/network/network.ts";
import type { ConnectingDeps } from "../../src/node/connecting.ts";
import { createEvents } from "../../src/node/events.ts";
import { stayConnected } from "../../src/node/failover/connection.ts";
import type { Dialler } from "../../src/node/tunnelling.ts";
import type { ConnectOptions, FailoverStep } from "../../src/node/types.ts";
import type { StoredSession } from "../../src/node/views.ts";
import type { ConsumerDeps } from "../../src/session/consumer-driver.ts";
import type { Records } from "../../src/session/records.ts";
import { framePipe } from "./frame-pipe.ts";
import { meteredService } from "./metered-service.ts";
import { openPayer, openProvider, prices } from "./session-market.ts";

/** What becomes of one that is dialled: `dead` says that nobody listens, `silent` says nothing. */
type State = "up" | "dead" | "silent";

/** A payer that stays connected by one of several exits, all of them real, over in-memory streams that break when they are told to. */
export async function failoverRig(names: string[], { step }: Pick<ConsumerDeps, "step"> = {}) {
  const path = await mkdtemp(join(tmpdir(), "mystnode-failover-"));
  const payer = await openPayer({ path });
  const service = meteredService();
  const exits = await Promise.all(
    names.map(async (name) => ({
      ...(await openProvider({ path }, name, payer, service)),
      state: "up" as State,
      lines: new Set<FrameStream>(),
      garble: (): void => undefined,
    })),
  );
  const exitOf = (peer: string) => exits.find(({ identity }) => identity.peerId === peer) as (typeof exits)[number];
  const offers: KnownOffer[] = exits.map(({ identity }, index) => ({
    envelope: new Uint8Array(),
    sources: ["gossip"],
    offer: {
      ...{ peer: identity.peerId, address: identity.address, addresses: [`/ip4/198.${index}.0.1/tcp/4480`], country: "US" },
      ...{ networkKind: "datacenter", services: [{ kind: "units", ...prices }], policy: "", maxSessions: 5, sessions: 0 },
      ...{ seq: 1n, expiresMs: Date.now() + 600_000 },
    },
  })) as never;

  /** @throws as a peer in that state does */
  const reach = async (peer: string, signal: AbortSignal): Promise<void> => {
    // a tunnel that leads nowhere says nothing
    const state = isCutOff(peer) ? "silent" : exitOf(peer).state;
    if (state === "up") return;
    if (state === "dead") throw new MystError("PEER_UNREACHABLE", "nobody listens there", { meta: { refused: true } });
    await new Promise<void>((_, reject) =>
      signal.addEventListener("abort", () => reject(new MystError("PEER_TIMEOUT", "no answer in time")), { once: true }),
    );
  };
  /** with two hops: the last one, and the first, by which it is reached: with whom the last session was opened that is not with itself */
  const behind = new Map<string, string>();
  const hidden = () => offers.find(({ offer }) => offer.addresses.some((address) => through.at(-1)?.includes(address)))?.offer.peer;
  const isCutOff = (peer: string) => peer === hidden() && behind.has(peer) && exitOf(behind.get(peer) as string).state !== "up";
  const breakLines = (peer: string) => {
    const { lines } = exitOf(peer);
    for (const line of lines) line.abort(new Error("cut"));
    lines.clear();
  };
  const through: string[][] = [];
  const missed = new Set<(peer: string) => void>();
  const asked: string[] = [];
  const noted: { peer: string; failed: boolean }[] = [];
  const judging: ConnectingDeps["judging"] = {
    choose: async (known, query) => rank(known, query),
    shown: async (views) => views,
    note: async ({ peer }, { failed }) => void noted.push({ peer, failed }),
  };
  const network: Dialler & Pick<Network, "peers" | "openFrames" | "ping" | "hangUp" | "onDisconnect"> = {
    peers: () => [],
    onDisconnect: (listener) => {
      missed.add(listener);
      return () => void missed.delete(listener);
    },
    connect: async (peer, _, signal) => reach(peer, signal),
    ping: async (peer, signal) => reach(peer, signal).then(() => 1),
    redial: async (peer, _, signal) => {
      await reach(peer, signal);
      return { take: () => breakLines(peer), drop: () => undefined };
    },
    hangUp: breakLines,
    hold: () => undefined,
    through: async (addresses) => void through.push(addresses),
    openFrames: async (peer, _, signal) => {
      const last = hidden();
      if (last !== undefined && last !== peer) behind.set(last, peer);
      await reach(peer, signal);
      const exit = exitOf(peer);
      const [ours, theirs] = framePipe(payer.identity.peerId, peer);
      exit.lines.add(ours);
      const unlessSilent =
        (send: FrameStream["send"]): FrameStream["send"] =>
        (frame) =>
          exit.state === "silent" || isCutOff(peer) ? Promise.resolve() : send(frame);
      exit.garble = () => void theirs.send(Uint8Array.of(0xff));
      void exit.accept({ ...theirs, send: unlessSilent(theirs.send) });
      return { ...ours, send: unlessSilent(ours.send) };
    },
  };
  const records = new Map<string, StoredSession>();
  const events = createEvents(silentLogger);
  const steps: FailoverStep[] = [];
  events.on((event) => {
    if (event.type === "failover") steps.push(event.step);
  });
  const stopping = new AbortController();
  const connecting = (): ConnectingDeps & { network: typeof network; discovery: { used(peer: string): void } } => ({
    network,
    discovery: {
      used: () => undefined,
      offers: (query = {}) => rank(offers, query),
      search: async (query) => rank(offers, query),
      find: async function* (query) {
        yield* rank(offers, query);
      },
    },
    unit: { symbol: "MYST", decimals: 18 },
    self: { peer: payer.identity.peerId },
    session: { ...payer.deps, network, service: service.consumer, ...(step && { step }) },
    account: async () => payer.account,
    judging,
    recall: async (exit) => void asked.push(exit.peer),
  });
  const connect = (change: Partial<ConnectOptions> = {}) =>
    stayConnected(
      {
        ...(change.hops === 2 && { first: connecting() }),
        connecting: connecting(),
        consuming: {
          judging,
          records: {
            list: () => [...records.values()],
            get: (id) => records.get(id),
            save: async (one) => void records.set(one.id, one),
          } satisfies Records<StoredSession>,
          events,
          clock: systemClock,
          log: silentLogger,
          witness: () => ({ stop: async () => undefined }),
        },
        peers: network,
      },
      { service: "units" as never, maxPerGiB: prices.perGiB, maxPerHour: prices.perHour, budget: 1n << 40n, ...change },
      stopping.signal,
    );
  return {
    ...{ connect, service, steps, records, payer: payer.ledger },
    peers: exits.map(({ identity }) => identity.peerId),
    /** what an exit has been promised, base units */
    promised: (peer: string) => exitOf(peer).ledger.channels()[0]?.best.cumulative ?? 0n,
    sessions: (peer: string) => exitOf(peer).server.sessions().length,
    become: (peer: string, state: State) => {
      exitOf(peer).state = state;
      if (state !== "dead") return;
      breakLines(peer);
      for (const listener of missed) listener(peer);
    },
    /** it says what is no message */
    garble: (peer: string) => exitOf(peer).garble(),
    /** the connection breaks, and nothing else */
    cut: breakLines,
    /** addresses that were to be reached through the first of two tunnels, time after time */
    through,
    stop: () => stopping.abort(),
    listeners: () => missed.size,
    /** how sessions went, by what is kept of that for others */
    noted,
    /** who was asked what it has of ours, in this order */
    asked,
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      for (const exit of exits) await exit.close();
      await payer.store.close();
      await rm(path, { recursive: true });
    },
  };
}
