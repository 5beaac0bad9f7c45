import { setTimeout as wait } from "node:timers/promises";
import { asMystError, isMystError, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { isPublic } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import { type Nat, natOf, type Place, wayBetween } from "../services/nat.ts";
import { createRelayConsumer, type RelayPort } from "../services/relay/consumer.ts";
import { askSeen, type Greet, greeted } from "../services/seeing.ts";
import type { ServiceConsumer } from "../services/service.ts";
import { interfaceAddresses, lookedCodec, type Meet, meetProtocol, punchingCodec, questionCodec } from "../services/wireguard/meeting.ts";
import type { Greeting, WgKey } from "../services/wireguard/types.ts";
import { type Carried, type ConsumingDeps, consume } from "./consuming.ts";
import { inHalf, type Opened, type OpeningDeps, openWith, termsFor, type Watch } from "./proposing.ts";
import { createSeeing, hostOfRelay, knownRelays, type SeeingDeps } from "./seeing.ts";
import type { ConnectOptions, ExitView } from "./types.ts";

export type MeetingDeps = SeeingDeps & {
  network: Pick<Network, "ask">;
  consuming: ConsumingDeps;
  /** what it takes to open a session of this service */
  opening(service: ServiceConsumer): OpeningDeps;
  log: Logger;
};

export type Meeting = {
  meet: Meet;
  /** what relays have been promised so far, base units */
  promised(): bigint;
};

/** One that has not seen itself in time may still be relayed to. @throws anything else */
const unseen = (error: unknown): { nat: Nat; at?: Place } => {
  if (isMystError(error, "PEER_TIMEOUT")) return { nat: "unknown" };
  throw error;
};

const lookMs = 9_000;
const askMs = 5_000;
const dialMs = 2_500;
const answerMs = 6_000;
const boundMs = 4_000;
/** relays that are tried */
const tries = 3;

/**
 * Finds a way to an exit that is reached through a relay of the network only: both ends are looked at from outside, then both send to where the
 * other is seen, at the same time; where that cannot be, or comes to nothing, a relay forwards between them and is paid for it.
 */
export function createMeeting(deps: MeetingDeps, { maxPerGiB, maxPerHour, budget }: ConnectOptions): Meeting {
  const { network, dialler, log } = deps;
  const see = createSeeing(deps);
  let past = 0n;
  let carried: Carried | undefined;
  const promised = () => past + (carried?.view().promised ?? 0n);

  const ask = (peer: string, question: Parameters<typeof questionCodec.encode>[0], ms: number, signal: AbortSignal) =>
    network.ask(peer, meetProtocol, Uint8Array.from(questionCodec.encode(question)), deadline(ms, signal));

  const openRelay = async (relay: ExitView, tunnel: Parameters<Meet>[1], signal: AbortSignal) => {
    const opened = Promise.withResolvers<RelayPort>();
    const service = createRelayConsumer({ counters: tunnel.counters, clock: deps.consuming.clock }, opened.resolve);
    const left = inHalf(budget) - promised();
    const terms = termsFor(relay, left, deps.consuming.clock.nowMs());
    const watch: Watch = { signal, step: () => undefined };
    const made = await consume(
      // where its traffic comes out is the exit
      { ...deps.consuming, witness: () => ({ stop: async () => undefined }) },
      (more): Promise<Opened> => openWith(deps.opening(service), { exit: relay, terms, budget: left, answerMs }, { ...watch, ...more }),
    );
    return { made, at: await opened.promise };
  };

  const meet: Meet = async ({ peer, sessionId, signal }, tunnel) => {
    const session = Uint8Array.from(Buffer.from(sessionId, "hex"));
    const greetings = new Map<WgKey, Greeting>();
    let port = 0;
    const greet: Greet = async (key, endpoint) => {
      const publicKey = Buffer.from(key).toString("base64");
      greetings.set(publicKey, { publicKey, endpoint });
      ({ listenPort: port } = await tunnel.greet([...greetings.values()]));
    };
    const [seen, theirs] = await Promise.all([
      see(greet, deadline(lookMs, signal)),
      ask(peer, { t: "look", session }, lookMs, signal).then(lookedCodec.decode).catch(unseen),
    ]);
    const nat = natOf(seen, { addresses: interfaceAddresses(), port });
    const [own] = seen;
    const way = wayBetween(nat, theirs.nat);
    log.info("an exit behind NAT is met", { peer, own: nat, exit: theirs.nat, way });
    // an exit must not have us send, nor open the kill switch, to what is in our own network
    if (way !== "relay" && own && theirs.at && isPublic(`/ip4/${theirs.at.address}`)) {
      try {
        const askedMs = performance.now();
        const { inMs } = punchingCodec.decode(await ask(peer, { t: "punch", session, at: own }, askMs, signal));
        await wait(Math.max(0, inMs - (performance.now() - askedMs) / 2), undefined, { signal });
        await tunnel.up(theirs.at, true);
        return { how: "punched", at: theirs.at, close: async () => undefined };
      } catch (error) {
        if (signal.aborted || !isMystError(error, "PEER_TIMEOUT")) throw error;
        log.info("no way through NAT was found to an exit", { peer });
      }
    }
    return relayed({ peer, session, signal }, tunnel);
  };

  const relayed = async (exit: { peer: string; session: Uint8Array; signal: AbortSignal }, tunnel: Parameters<Meet>[1]) => {
    const { peer, session, signal } = exit;
    const known = await knownRelays(deps, 1, signal);
    const fitting = known.filter((one) => one.peer !== peer && one.perGiB <= maxPerGiB && one.perHour <= maxPerHour);
    let last: MystError | undefined;
    for (const relay of fitting.slice(0, tries)) {
      const address = hostOfRelay(relay);
      if (address === undefined) continue;
      const over = new AbortController();
      try {
        await dialler.connect(relay.peer, relay.addresses, deadline(dialMs, signal));
        const { made, at } = await openRelay(relay, tunnel, AbortSignal.any([signal, over.signal]));
        carried = made;
        const place: Place = { address, port: at.port };
        const greet: Greet = async (key, endpoint) => {
          await tunnel.greet([{ publicKey: Buffer.from(key).toString("base64"), endpoint }]);
        };
        await ask(peer, { t: "relay", session, at: place, key: at.far }, askMs, signal);
        await greeted(network, relay.peer, { key: at.near, to: place }, greet, deadline(boundMs, signal));
        await askSeen(network, relay.peer, at.far, deadline(boundMs, signal));
        await tunnel.up(place, false);
        const close = async () => {
          over.abort();
          const { view } = await made.over;
          if (carried === made) carried = undefined;
          past += view.promised;
        };
        const failed = made.over.then(({ failure }) => failure ?? new MystError("TUNNEL_FAILED", "the relay's session has ended"));
        return { how: "relayed" as const, at: place, close, failed };
      } catch (error) {
        over.abort();
        last = asMystError(error);
        past += carried?.view().promised ?? 0n;
        carried = undefined;
        if (signal.aborted) throw last;
        log.info("a relay could not be used", { peer: relay.peer, code: last.code, reason: last.message });
      }
    }
    throw new MystError(
      "TUNNEL_FAILED",
      `this exit is behind NAT, and no relay reaches it: ${last?.message ?? "none is known within the price caps"}`,
      {
        hint: "try another exit, or --service proxy",
      },
    );
  };
  return { meet, promised };
}
