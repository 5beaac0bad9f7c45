import type { Clock } from "../../lib/clock.ts";
import { isName } from "./resolve.ts";

/** Names that datagrams are sent to, each looked up once for many of them. What comes out is still to be judged, each time. */
export type Names = {
  /** Calls back with a name's addresses, at once if they are known; never for a name that has none, or with too many waiting for it. */
  withAddresses(name: string, use: (addresses: string[]) => void): void;
};

const rememberMs = 30_000;
const maxNames = 64;
const maxWaiting = 8;

type Entry = { untilMs: number; addresses: string[] | undefined; waiting: ((addresses: string[]) => void)[] };

export function createNames(clock: Pick<Clock, "nowMs">, resolve: (name: string) => Promise<string[]>): Names {
  const known = new Map<string, Entry>();
  const lookUp = async (name: string, entry: Entry) => {
    const addresses = await resolve(name).catch(() => []);
    entry.addresses = addresses;
    entry.untilMs = clock.nowMs() + rememberMs;
    for (const use of entry.waiting.splice(0)) if (addresses.length > 0) use(addresses);
  };
  return {
    withAddresses: (name, use) => {
      if (!isName(name)) return;
      const entry = known.get(name);
      if (entry?.addresses === undefined && entry) {
        if (entry.waiting.length < maxWaiting) entry.waiting.push(use);
      } else if (entry?.addresses && clock.nowMs() < entry.untilMs) {
        if (entry.addresses.length > 0) use(entry.addresses);
      } else {
        const [oldest] = known.keys();
        if (known.size >= maxNames && oldest !== undefined) known.delete(oldest);
        const asked: Entry = { untilMs: 0, addresses: undefined, waiting: [use] };
        known.set(name, asked);
        void lookUp(name, asked);
      }
    },
  };
}
