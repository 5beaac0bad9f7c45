import { MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import type { Network } from "../../network/network.ts";
import { greetingKeyCodec, maxSeenFrame, placeCodec, seenProtocol, seenQuestionCodec } from "../seeing.ts";
import type { Sighting, Sightings } from "./sightings.ts";

/** a key that nobody has greeted by then is forgotten */
const lifeMs = 10_000;
/** a question waits so long for the greeting */
const waitMs = 3_000;

/** Gives keys to whoever asks, and says where their greetings came from. `port`: where greetings to the keys in `open` are to be sent. */
export function answerSeen(
  { network, sightings }: { network: Pick<Network, "answer">; sightings: Sightings },
  port: number,
  open: Set<Sighting>,
): Promise<void> {
  return network.answer(seenProtocol, { maxQuestion: maxSeenFrame, maxAnswer: maxSeenFrame }, async (bytes, from) => {
    const { key } = seenQuestionCodec.decode(bytes);
    if (key) {
      const place = await sightings.seen(from, key, deadline(waitMs));
      if (!place) throw new MystError("PEER_REFUSED", "no greeting came");
      return Uint8Array.from(placeCodec.encode(place));
    }
    const sighting = sightings.open(from);
    if (!sighting) throw new MystError("PEER_REFUSED", "too many are waited for");
    open.add(sighting);
    setTimeout(() => {
      open.delete(sighting);
      sightings.close(sighting);
    }, lifeMs).unref();
    return Uint8Array.from(greetingKeyCodec.encode({ key: sighting.key, port }));
  });
}
