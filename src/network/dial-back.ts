import { isIP } from "node:net";
import type { Connection } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec } from "../lib/codec.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { apart, hostOf, isPublic, isRelayed, lineOf, networkOf } from "./diversity.ts";
import type { Network, PeerSummary } from "./network.ts";
import { createQuota } from "./quota.ts";

/** Can you dial me at that port of the address that you see me at? docs/protocol.md, "Dialling back". */
const protocol = "dial-back/1.0.0";
const maxFrame = 64;
const questionCodec = cborCodec(z.strictObject({ port: z.int().min(1).max(65_535) }), maxFrame);
const answerCodec = cborCodec(
  z.strictObject({ seen: z.string().refine((text) => isIP(text) !== 0 && text.length <= 45), reached: z.boolean() }),
  maxFrame,
);

const dialMs = 4_000;
const askMs = 6_000;
/** peers asked at a time, of different networks */
const asked = 3;
const maxDialling = 4;
/** of one host, and of all together */
const perHost = { burst: 3, perSecond: 1 / 60 };
const all = { burst: 10, perSecond: 1 };

type Answerer = Pick<Network, "answer" | "redial">;

/**
 * Dials back who asks for it: at the address that the question comes from, never another, so that it can be turned against nobody; and not
 * often. What it dials has to prove that it is the asker.
 */
export function answerDialBacks({ answer, redial }: Answerer, clock: Pick<Clock, "nowMs">): Promise<void> {
  const hosts = createQuota(clock, perHost);
  const total = createQuota(clock, all);
  let dialling = 0;
  return answer(protocol, { maxQuestion: maxFrame, maxAnswer: maxFrame }, async (bytes, from, address = "") => {
    const { port } = questionCodec.decode(bytes);
    const host = isRelayed(address) || !isPublic(address) ? undefined : hostOf(address);
    if (host === undefined) throw new MystError("PEER_REFUSED", "that is no address on the internet");
    if (dialling >= maxDialling || !hosts.take(lineOf(address) ?? host) || !total.take(""))
      throw new MystError("PEER_REFUSED", "too many questions");
    dialling += 1;
    try {
      const made = await redial(from, [`/ip${isIP(host)}/${host}/tcp/${port}`], deadline(dialMs)).catch(() => undefined);
      made?.drop();
      return Uint8Array.from(answerCodec.encode({ seen: host, reached: made !== undefined }));
    } finally {
      dialling -= 1;
    }
  });
}

/** `seen`: where that peer sees us; `came`: it has really connected to us meanwhile */
export type DialBack = { network: string; seen: string; came: boolean };

/** `yes`: somebody came; `no`: of two networks or more nobody did; `seen`: where most of those asked see us */
export type Reach = { reached: "yes" | "no" | "unknown"; seen?: string };

/**
 * What follows from the answers. That we are reached is taken on nobody's word: a connection has come. That we are not is a word, so it takes
 * `least` networks, and nobody who came.
 */
export function judge(answers: DialBack[], least = 2): Reach {
  const came = answers.filter((one) => one.came);
  const counts = new Map<string, number>();
  for (const { seen } of came.length > 0 ? came : answers) counts.set(seen, (counts.get(seen) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  const networks = new Set(answers.map(({ network }) => network)).size;
  return { reached: came.length > 0 ? "yes" : networks >= least ? "no" : "unknown", ...(most && { seen: most[0] }) };
}

type AskerDeps = { host: Pick<Libp2p, "addEventListener">; ask: Network["ask"]; peers(): PeerSummary[]; log: Logger };

export type Asker = {
  /** Asks up to three peers of different networks, those that we have chosen ourselves first. Never throws. */
  ask(family: "ip4" | "ip6", port: number, signal: AbortSignal): Promise<DialBack[]>;
  /** when a connection last came straight from the internet, ms of performance.now(); 0: never */
  cameMs(family: "ip4" | "ip6"): number;
};

export function createAsker({ host, ask, peers, log }: AskerDeps): Asker {
  const last = { ip4: 0, ip6: 0 };
  const waiting = new Map<string, () => void>();
  host.addEventListener("connection:open", ({ detail }: CustomEvent<Connection>) => {
    const address = detail.remoteAddr.toString();
    if (detail.direction !== "inbound" || isRelayed(address) || !isPublic(address)) return;
    const family = address.startsWith("/ip6/") ? "ip6" : "ip4";
    last[family] = performance.now();
    waiting.get(`${family} ${detail.remotePeer}`)?.();
  });
  const one = async (peer: PeerSummary, family: "ip4" | "ip6", port: number, signal: AbortSignal): Promise<DialBack[]> => {
    const key = `${family} ${peer.peer}`;
    let came = false;
    waiting.set(key, () => {
      came = true;
    });
    try {
      const question = Uint8Array.from(questionCodec.encode({ port }));
      const { seen } = answerCodec.decode(await ask(peer.peer, protocol, question, deadline(askMs, signal), { maxAnswer: maxFrame }));
      return [{ network: peer.addresses.flatMap((address) => networkOf(address) ?? [])[0] ?? peer.peer, seen, came }];
    } catch (error) {
      log.debug("a peer did not dial back", { peer: peer.peer, code: asMystError(error).code });
      return [];
    } finally {
      waiting.delete(key);
    }
  };
  return {
    ask: async (family, port, signal) => {
      const fitting = peers()
        .map((peer) => ({ ...peer, addresses: peer.addresses.filter((address) => isAsked(address, family)) }))
        .filter(({ addresses }) => addresses.length > 0)
        .sort((a, b) => Number(a.direction === "inbound") - Number(b.direction === "inbound"));
      const chosen = apart(fitting, ({ addresses }) => addresses, 1).slice(0, asked);
      return (await Promise.all(chosen.map((peer) => one(peer, family, port, signal)))).flat();
    },
    cameMs: (family) => last[family],
  };
}

const isAsked = (address: string, family: string) => address.startsWith(`/${family}/`) && !isRelayed(address) && isPublic(address);
