import { randomBytes, randomInt } from "node:crypto";
import { connect } from "node:net";
import type { Databases } from "../country/databases.ts";
import {
  agreedEgress,
  chooseObservers,
  leastObservers,
  maxObservation,
  nonceBytes,
  type Observation,
  type Observer,
  observationQuestion,
  observeProtocol,
  readObservation,
} from "../country/observing.ts";
import type { Clock } from "../lib/clock.ts";
import { asMystError } from "../lib/errors.ts";
import { deadline, type Loop } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import { askAside, type Way } from "../network/aside.ts";
import { networkOf } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import { socksConnect } from "../services/proxy/socks-client.ts";
import type { Judging } from "./judging.ts";
import { egressView } from "./locating.ts";
import type { EgressView } from "./types.ts";

export type WitnessingDeps = {
  /** dials through a kill switch, where one stands */
  dialler: Pick<Network, "connect">;
  network: Pick<Network, "peers">;
  judging: Pick<Judging, "staked" | "noteEgress">;
  config: Pick<NetworkConfig, "protocolPrefix" | "chainId" | "contract">;
  databases: Databases;
  clock: Clock;
  log: Logger;
  /** default: the /24 or /48 of an address */
  nameOf?: (address: string) => string | undefined;
};

type Exit = { peer: string; addresses: string[]; country: string };

/** asked at once; more than have to agree, for some will not answer */
const asked = 5;
const firstMs = 5_000;
const hourMs = 3_600_000;
/** when too few have answered: at first they may just not be known yet */
const againMs = [20_000, 300_000] as const;
const dialMs = 5_000;
const askMs = 15_000;
const identifyMs = 2_000;
const pollMs = 50;

/** The way through what a session has opened: its proxy, or a socket of the tunnel's own address, which the host's plan leads into the tunnel. */
export const wayThrough =
  ({ socks, address }: Record<string, string>): Way =>
  async (host, port, signal) =>
    socks !== undefined ? await socksConnect({ host, port, socks, signal }) : await connected(host, port, address, signal);

async function connected(host: string, port: number, localAddress: string | undefined, signal: AbortSignal) {
  const socket = connect({ host, port, noDelay: true, allowHalfOpen: true, ...(localAddress !== undefined && { localAddress }) });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const interrupt = () => socket.destroy(signal.reason as Error);
  socket
    .once("connect", resolve)
    .once("error", reject)
    .once("close", () => reject(new Error("closed")));
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    if (signal.aborted) interrupt();
    await promise;
    return socket;
  } finally {
    signal.removeEventListener("abort", interrupt);
  }
}

/** Asks through the session, soon after its beginning and then each hour, where its traffic comes out; `onSeen` for each answer that counts. */
export function watchEgress(deps: WitnessingDeps, exit: Exit, way: Way, onSeen: (egress: EgressView) => void): Loop {
  const { clock, log } = deps;
  const stopped = new AbortController();
  const { signal } = stopped;
  const running = (async () => {
    let failures = 0;
    for (let waitMs = firstMs; ; ) {
      await clock.sleep(waitMs * (0.8 + randomInt(400) / 1000), signal);
      const egress = await lookAtEgress(deps, exit, way, signal);
      failures = egress ? 0 : failures + 1;
      if (egress) {
        const { address, observers, atMs } = egress;
        await deps.judging.noteEgress(exit.peer, { address, observers, atMs });
        onSeen(egress);
      } else log.info("where an exit's traffic comes out was not seen", { peer: exit.peer });
      waitMs = egress ? hourMs : (againMs[failures - 1] ?? againMs[1]);
    }
  })().catch((error) => {
    if (!signal.aborted) log.warn("where an exit's traffic comes out is not looked at any more", { code: asMystError(error).code });
  });
  const stop = async () => {
    stopped.abort();
    await running;
  };
  return { stop, [Symbol.asyncDispose]: stop };
}

/** One round. Undefined where too few have answered, or they do not agree. */
export async function lookAtEgress(deps: WitnessingDeps, exit: Exit, way: Way, signal: AbortSignal): Promise<EgressView | undefined> {
  const { clock, log, nameOf = networkOf } = deps;
  const order = new Map<string, number>();
  const placeOfPeer = (peer: string) => order.get(peer) ?? (order.set(peer, randomInt(2 ** 32)).get(peer) as number);
  const shuffled = (await deps.judging.staked()).toSorted((a, b) => placeOfPeer(a.peer) - placeOfPeer(b.peer));
  const candidates = chooseObservers(shuffled, exit, 2 * asked, nameOf);
  const observers = await proven(deps, candidates, nameOf, signal);
  if (observers.length < leastObservers) return undefined;
  const question = async ({ peer, address, network }: Observer): Promise<Observation[]> => {
    const nonce = Uint8Array.from(randomBytes(nonceBytes));
    try {
      const bytes = await askAside(
        { prefix: deps.config.protocolPrefix, way, clock },
        { peer, address },
        { protocol: observeProtocol, bytes: observationQuestion(nonce), maxAnswer: maxObservation },
        deadline(askMs, signal),
      );
      return [{ peer, network, address: readObservation(bytes, { peer, nonce, nowMs: clock.nowMs(), domain: deps.config }) }];
    } catch (error) {
      log.debug("a peer did not say what it sees", { peer, code: asMystError(error).code });
      return [];
    }
  };
  const agreed = agreedEgress((await Promise.all(observers.slice(0, asked).map(question))).flat());
  return agreed && egressView({ ...agreed, atMs: clock.nowMs() }, exit.country, deps.databases);
}

/**
 * Those of them that are where they say they are. An exit leads our question wherever it likes, so one that is in league with peers could have
 * them anywhere: each is first reached without it.
 */
async function proven(
  { dialler, network, clock }: Pick<WitnessingDeps, "dialler" | "network" | "clock">,
  candidates: Observer[],
  nameOf: (address: string) => string | undefined,
  signal: AbortSignal,
): Promise<Observer[]> {
  const isThere = ({ peer, network: name }: Observer) =>
    network.peers().some((one) => one.peer === peer && one.addresses.some((address) => nameOf(address) === name));
  // who is connected counts once it has said who it is
  const reach = async (candidate: Observer) => {
    await dialler.connect(candidate.peer, [candidate.address], deadline(dialMs, signal));
    for (let waited = 0; waited < identifyMs && !isThere(candidate); waited += pollMs) await clock.sleep(pollMs, signal);
  };
  // one after the other, those first that are connected: a kill switch is opened a little for each
  const ready: Observer[] = [];
  for (const candidate of candidates.toSorted((a, b) => Number(isThere(b)) - Number(isThere(a)))) {
    if (ready.length === asked || signal.aborted) break;
    if (!isThere(candidate)) await reach(candidate).catch(() => undefined);
    if (isThere(candidate)) ready.push(candidate);
  }
  return ready;
}
