import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/ports.ts";
import type { Topic, Validity } from "./network.ts";
import { createQuota } from "./quota.ts";

const defaultQuota = { burst: 200, perSecond: 50 };
/** Messages of one topic that are being checked at the same time; what comes beyond is ignored. */
const maxChecking = 64;

/** What becomes of a topic's messages: bounded in size, in rate for each neighbour, and in how many are being checked, before the topic's own checks. */
export function topicValidator<T>(topic: Topic<T>, { log, clock }: { log: Logger; clock: Pick<Clock, "nowMs"> }) {
  const quota = createQuota(clock, topic.quota ?? defaultQuota);
  let checking = 0;
  const check = async (bytes: Uint8Array, from: string) => {
    checking += 1;
    try {
      const { validity, value, later } = await topic.validate(bytes, from);
      if (validity === "accept" && value !== undefined) topic.onMessage(value, from);
      return { validity, later };
    } finally {
      checking -= 1;
    }
  };
  return async (bytes: Uint8Array, from: string): Promise<Validity> => {
    if (bytes.byteLength > topic.maxBytes) return "reject";
    if (checking >= maxChecking || !quota.take(from)) return "ignore";
    try {
      const { validity, later } = await check(bytes, from);
      return validity === "accept" && later ? await later : validity;
    } catch (error) {
      log.warn("a message could not be checked", { topic: topic.name, error: (error as Error).message });
      return "ignore";
    }
  };
}
