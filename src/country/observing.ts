import ipaddr from "ipaddr.js";
import { z } from "zod";
import type { Identity } from "../identity/identity.ts";
import { peerAddress } from "../identity/peer.ts";
import { type RecordDomain, recordSigner, signRecord } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import { boundedBytes, cborCodec, fixedBytes } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { hostOf, isRelayed, networkOf, placeOf } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";

/** Whoever asks is told, signed, where the question came from: docs/protocol.md, "Observing". */
export const observeProtocol = "observe/1.0.0";
export const nonceBytes = 16;
const maxQuestion = 64;
export const maxObservation = 256;
/** of one /24 or /48, and of all: who asks is another peer each time */
const ofNetwork = { burst: 16, perSecond: 0.2 };
const ofAll = { burst: 64, perSecond: 10 };
/** clocks may differ by this */
const maxSkewMs = 10 * 60_000;

const questionCodec = cborCodec(z.strictObject({ nonce: fixedBytes(nonceBytes) }), maxQuestion);
const ipBytes = boundedBytes(16).refine(({ byteLength }) => byteLength === 4 || byteLength === 16, "no IP address");
const bodyCodec = cborCodec(
  z.strictObject({ address: ipBytes, nonce: fixedBytes(nonceBytes), ms: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER) }),
  128,
);
const envelopeCodec = cborCodec(z.strictObject({ body: boundedBytes(128), signature: fixedBytes(64) }), maxObservation);

const domain = (network: RecordDomain["network"]): RecordDomain => ({ kind: "observed", network });

export const observationQuestion = (nonce: Uint8Array): Uint8Array => Uint8Array.from(questionCodec.encode({ nonce }));

export type AnsweringDeps = {
  network: Pick<Network, "answer">;
  identity: Pick<Identity, "sign">;
  domain: RecordDomain["network"];
  clock: Pick<Clock, "nowMs">;
  /** name of a loopback address too, as where all peers are on one machine; default: such a one is not told */
  hostOf?: (address: string) => string | undefined;
};

/** Tells whoever asks where its connection comes from. Who comes through a relay is not told: the relay is not where it is. */
export function answerObservations({ network, identity, domain: of, clock, hostOf: ipOf = hostOf }: AnsweringDeps): Promise<void> {
  const [networks, all] = [createQuota(clock, ofNetwork), createQuota(clock, ofAll)];
  return network.answer(observeProtocol, { maxQuestion, maxAnswer: maxObservation }, async (question, _, from = "") => {
    const { nonce } = questionCodec.decode(question);
    const ip = isRelayed(from) ? undefined : ipOf(from);
    if (ip === undefined) throw new MystError("MALFORMED", "there is no address to tell");
    if (!networks.take(networkOf(from) ?? "") || !all.take("")) throw new MystError("PEER_REFUSED", "too many questions");
    const body = Uint8Array.from(
      bodyCodec.encode({ address: Uint8Array.from(ipaddr.process(ip).toByteArray()), nonce, ms: clock.nowMs() }),
    );
    return Uint8Array.from(envelopeCodec.encode({ body, signature: signRecord(identity, domain(of), body) }));
  });
}

/**
 * The address that this peer has seen, in text.
 * @throws MALFORMED, also for an answer to another question or of another time; BAD_SIGNATURE
 */
export function readObservation(
  bytes: Uint8Array,
  { peer, nonce, nowMs, domain: of }: { peer: string; nonce: Uint8Array; nowMs: number; domain: RecordDomain["network"] },
): string {
  const { body, signature } = envelopeCodec.decode(bytes);
  const seen = bodyCodec.decode(body);
  if (Buffer.compare(seen.nonce, nonce) !== 0) throw new MystError("MALFORMED", "that answers another question");
  if (Math.abs(seen.ms - nowMs) > maxSkewMs) throw new MystError("MALFORMED", "that is of another time");
  if (recordSigner(domain(of), Uint8Array.from(body), signature) !== peerAddress(peer))
    throw new MystError("BAD_SIGNATURE", "it was signed by another peer");
  return ipaddr.fromByteArray([...seen.address]).toString();
}

export const leastObservers = 3;

/** A peer that may be asked, at an address that it can be reached at without a relay. */
export type Observer = { peer: string; address: string; network: string };

/**
 * Whom to ask what they see of an exit: at random, one of each /24 or /48, none of the exit's own.
 * @param shuffled those who have something to lose, in an order that none of them has a say in
 */
export function chooseObservers(
  shuffled: readonly { peer: string; addresses: string[] }[],
  exit: { peer: string; addresses: string[] },
  most: number,
  nameOf: (address: string) => string | undefined = networkOf,
): Observer[] {
  const taken = new Set(exit.addresses.filter((address) => !isRelayed(address)).map(nameOf));
  const chosen: Observer[] = [];
  for (const { peer, addresses } of shuffled) {
    const address = addresses.find((one) => placeOf(one) !== undefined);
    const network = address === undefined ? undefined : nameOf(address);
    if (address === undefined || network === undefined || peer === exit.peer || taken.has(network)) continue;
    taken.add(network);
    chosen.push({ peer, address, network });
    if (chosen.length === most) break;
  }
  return chosen;
}

/** `address`: what was seen; `network`: that of the peer that has seen it. */
export type Observation = Observer;

/**
 * Where traffic comes out: what at least three have seen who are in networks of their own, and more than half of all such. Addresses of one
 * /24 or /48 count as one, for an exit may use several; the one seen most often stands for them.
 */
export function agreedEgress(observations: readonly Observation[]): { address: string; observers: number } | undefined {
  const one = new Map(observations.map((observation) => [observation.network, observation]));
  const groups = Map.groupBy(one.values(), ({ address }) => networkOf(`/ip${address.includes(":") ? 6 : 4}/${address}`) ?? address);
  const [largest = []] = [...groups.values()].sort((a, b) => b.length - a.length);
  if (largest.length < leastObservers || largest.length * 2 <= one.size) return undefined;
  const [most] = [...Map.groupBy(largest, ({ address }) => address)].sort((a, b) => b[1].length - a[1].length);
  return most && { address: most[0], observers: largest.length };
}
