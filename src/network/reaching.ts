import { setTimeout as wait } from "node:timers/promises";
import type { Logger } from "../lib/ports.ts";
import { type Asker, judge, type Reach } from "./dial-back.ts";
import { isPublic, placeOf } from "./diversity.ts";
import type { OwnAddresses } from "./own-addresses.ts";

/** what is known of the addresses of a kind */
export type Reaching = { announced: boolean /** times that nobody came, one after the other */; missed: number };

/** so often nobody comes before an address is withdrawn */
const misses = 2;
/** how long one answer is good, and how soon it is asked again where there is none yet or it is in doubt */
const goodMs = 10 * 60_000;
const soonMs = 30_000;
const firstMs = 15_000;

/** What a round of asking comes to; where nothing is known all stays as it was. */
export function reachingStep(state: Reaching, { reached }: Reach): Reaching {
  if (reached === "yes") return { announced: true, missed: 0 };
  if (reached === "unknown") return state;
  const missed = state.missed + 1;
  return { announced: state.announced && missed < misses, missed };
}

type Deps = {
  own: Pick<OwnAddresses, "listening" | "confirm">;
  asker: Asker;
  log: Logger /** nobody reaches us: be reached through relays */;
  seekRelay(): Promise<void>;
};

/**
 * Looks whether the public addresses that this peer listens on are reached: by those who come, else by asking peers to dial. Those that are not
 * are withdrawn, and announced again once somebody has come. Ends with the signal.
 */
export async function keepReached(
  { own, asker, log, seekRelay }: Deps,
  signal: AbortSignal,
  times = { firstMs, soonMs, goodMs },
): Promise<void> {
  const states: Record<"ip4" | "ip6", Reaching> = { ip4: { announced: true, missed: 0 }, ip6: { announced: true, missed: 0 } };
  /** @returns whether it is known for now */
  const look = async (family: "ip4" | "ip6"): Promise<boolean> => {
    const place = own
      .listening()
      .flatMap((address) => (address.startsWith(`/${family}/`) && isPublic(address) ? (placeOf(address) ?? []) : []))[0];
    if (!place) return true;
    const cameMs = asker.cameMs(family);
    const recent = cameMs > 0 && performance.now() - cameMs < times.goodMs;
    const found: Reach = recent ? { reached: "yes" } : judge(await asker.ask(family, place.port, signal));
    if (signal.aborted) return true;
    const before = states[family];
    const now = reachingStep(before, found);
    states[family] = now;
    if (now.announced !== before.announced) {
      own.confirm(family, now.announced);
      if (now.announced) log.info("this peer is reached again", { address: place.host, port: place.port });
      else {
        log.warn("nobody reaches this peer at its own address", { address: place.host, port: place.port });
        await seekRelay();
      }
    }
    return found.reached !== "unknown" && (now.missed === 0 || !now.announced);
  };
  const pause = (ms: number) => wait(ms * (0.8 + Math.random() * 0.4), undefined, { signal, ref: false }).catch(() => undefined);
  await pause(times.firstMs);
  while (!signal.aborted) {
    const known = await Promise.all([look("ip4"), look("ip6")]);
    await pause(known.every(Boolean) ? times.goodMs : times.soonMs);
  }
}
