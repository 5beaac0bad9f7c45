import { encodeOffer, offerLifeMs, type SignedOffer, signOffer } from "../../../../src/discovery/offer.ts";
import {
  offerProtocol,
  offersTopic,
  pageCodec,
  questionCodec,
  snapshotProtocol,
  wantedBytes,
  wantedTopic,
} from "../../../../src/discovery/protocol.ts";
import type { Identity } from "../../../../src/identity/identity.ts";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Network } from "../../../../src/network/network.ts";
import { networkConfig, offerOf } from "../../../support/simulation/market.ts";

/** All of them together; what one knows all know. */
export type Ring = { offers: Map<string, SignedOffer>; country: string };

const sayEveryMs = 20_000;

/** An offer in that country, where it is called for. */
export const signFor = (identity: Identity, addresses: string[], { country }: Ring, nowMs: number): SignedOffer =>
  signOffer(identity, networkConfig, {
    ...offerOf(country),
    peer: identity.peerId,
    address: identity.address,
    addresses,
    seq: BigInt(nowMs),
    expiresMs: nowMs + offerLifeMs,
  });

/**
 * One of many that want a country's seekers to find them and nobody else: it offers its own way out, answers whoever asks with offers of its ring alone,
 * and passes on nothing that others say.
 */
export async function runSybil(
  { identity, network, clock, swallows = false }: { identity: Identity; network: Network; clock: Clock; swallows?: boolean },
  ring: Ring,
  signal: AbortSignal,
): Promise<void> {
  const sign = () => {
    const offer = signFor(identity, network.addresses(), ring, clock.nowMs());
    ring.offers.set(identity.peerId, offer);
    return encodeOffer(offer);
  };
  sign();
  await network.answer(offerProtocol, { maxQuestion: 0, maxAnswer: 4096 }, async () =>
    encodeOffer(ring.offers.get(identity.peerId) as SignedOffer),
  );
  await network.answer(
    snapshotProtocol,
    { maxQuestion: 2 ** 17, maxAnswer: 2 ** 19, quota: { burst: 1e6, perSecond: 1e6 } },
    async (bytes) => {
      const { after = "" } = questionCodec.decode(bytes);
      const offers = [...ring.offers.values()]
        .filter(({ offer }) => offer.peer > after)
        .sort((a, b) => (a.offer.peer < b.offer.peer ? -1 : 1));
      return pageCodec.encode({ offers: offers.slice(0, 1500).map(encodeOffer), more: offers.length > 1500 });
    },
  );
  // to be handed what others say it has to listen
  for (const [name, maxBytes] of [
    [offersTopic, 2048],
    [wantedTopic, wantedBytes],
  ] as const)
    await network.subscribe<never>({
      name,
      maxBytes,
      validate: async () => ({ validity: swallows ? "ignore" : "accept" }),
      onMessage: () => undefined,
    });
  while (!signal.aborted) {
    await network.publish(offersTopic, sign());
    await clock.sleep(sayEveryMs * (0.5 + Math.random()), signal).catch(() => undefined);
  }
}
