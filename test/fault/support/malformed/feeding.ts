import { systemClock } from "../../../../src/lib/clock.ts";
import { within } from "../../../../src/lib/lifecycle.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { topicValidator } from "../../../../src/network/topic-validator.ts";
import { bytePipe } from "../../../support/byte-pipe.ts";
import { framePipe } from "../../../support/frame-pipe.ts";
import { type Random, randomOf } from "../../../support/random.ts";
import { noise, structured } from "./mutate.ts";
import { type Place, places, samplesOf } from "./recording.ts";
import type { Feeding, TargetAnswer } from "./target.ts";

const boundless = { burst: 1e12, perSecond: 1e12 };

type Feed = (bytes: () => Uint8Array, from: string, random: Random) => Promise<unknown>;

/** One try at a place; resolves once that place is done with it, however it has taken it. */
function feedOf(place: Place, onFailed: (error: string) => void): Feed {
  if (place.type === "topic") {
    const warn = (_: string, fields: Record<string, unknown> = {}) => onFailed(`${fields.topic}: ${fields.error}`);
    const validate = topicValidator({ ...place.topic, quota: boundless }, { log: { ...silentLogger, warn }, clock: systemClock });
    return (bytes, from) => validate(bytes(), from);
  }
  if (place.type === "answer") return (bytes, from) => place.answer(bytes(), from).catch(() => undefined);
  if (place.type === "frames")
    return async (bytes, from, random) => {
      const [ours, theirs] = framePipe(from, "us");
      const done = place.handle({ ...theirs, peer: from }).catch(() => undefined);
      for (let left = random.int(4); left >= 0; left--) await ours.send(bytes());
      if (random.int(4) === 0) ours.abort(new Error("gone"));
      else await ours.close();
      return done;
    };
  return async (bytes, from, random) => {
    const [ours, theirs] = bytePipe(from, "us");
    const done = place.handle({ ...theirs, peer: from }).catch(() => undefined);
    void (async () => {
      for await (const _ of ours.read());
    })().catch(() => undefined);
    await ours.write(bytes()).catch(() => undefined);
    if (random.int(4) === 0) ours.abort(new Error("gone"));
    else await ours.closeWrite();
    return done;
  };
}

/** Feeds all places in turn, some at the same time, with what is nearly right or not at all. */
export async function feed(
  { kind, runs, seed, mostMs }: Feeding,
  peers: readonly string[],
  extra: ReadonlyMap<string, (random: Random) => Promise<unknown>>,
  found: Pick<TargetAnswer, "tried" | "hung" | "failed">,
): Promise<void> {
  const onFailed = (error: string) => found.failed.push(error);
  const feeds = [...places].map(([name, place]) => ({ name, place, feed: feedOf(place, onFailed) }));
  const random = randomOf(seed);
  const names = [...feeds.map(({ name }) => name), ...extra.keys()];
  let at = 0;
  const lane = async () => {
    while (at < runs) {
      const name = names[at % names.length] as string;
      at += 1;
      const one = feeds.find((candidate) => candidate.name === name);
      const bytes = () => {
        const most = one?.place.maxBytes ?? 0;
        return kind === "random" ? noise(random, most) : structured(samplesOf(name), random, most);
      };
      const work = one ? one.feed(bytes, random.of(peers), random) : extra.get(name)?.(random);
      found.tried[name] = (found.tried[name] ?? 0) + 1;
      await within(Promise.resolve(work), mostMs, "PEER_TIMEOUT", name).catch(() => found.hung.push(name));
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}
