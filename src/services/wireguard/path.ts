import { asMystError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/ports.ts";
import { echoed } from "./path-echo.ts";
import { firstMtu, leastMtu, searchPath } from "./path-search.ts";
import type { TunnelLeg } from "./types.ts";

export type Path = {
  from: string;
  to: string;
  /** the exit's own */
  most: number;
  /** the largest that passes is to be known before anything else is sent */
  whole?: boolean;
};
export type PathFit = {
  /** the largest packet that passes, as far as is known */
  passes(): number;
  /** To be called where what was asked is not answered: the way may have become narrower. Does nothing within 10 s of the last time. */
  check(): void;
  end(): void;
};

const checkEveryMs = 10_000;

/**
 * Fits a tunnel that has just come up to the way there. Where the size that it begins with does not pass, a smaller one is found before anything is
 * sent; larger ones are looked for while it carries.
 */
export async function fitPath(tunnel: Pick<TunnelLeg, "mtu">, { from, to, most, whole = false }: Path, log: Logger): Promise<PathFit> {
  let ended = false;
  let passes = Math.min(firstMtu, most);
  let checkedMs = 0;
  let underWay: Promise<void> | undefined;
  const round = async (sizes: number[]) => (ended ? [] : echoed({ from, to, sizes }));
  const set = async (mtu: number) => {
    if (ended || mtu === passes) return;
    passes = mtu;
    await tunnel.mtu(mtu);
    log.debug("size of packet that passes", { bytes: mtu });
  };
  /** Whether what passed still does; if not, what does. */
  const narrow = async (): Promise<boolean> => {
    if ((await round([passes])).length > 0) return false;
    const found = await searchPath({ passes: leastMtu - 1, most: passes - 1 }, round);
    if (found >= leastMtu) await set(found);
    else if (!ended) log.warn("the exit's tunnel sends nothing back, of whatever size");
    return true;
  };
  const widen = async () => set(await searchPath({ passes, most }, round));
  const alone = (work: () => Promise<unknown>): Promise<void> => {
    underWay ??= work()
      .then(() => undefined)
      .catch((error) => log.debug("the way's size is not known", { code: asMystError(error).code }))
      .finally(() => {
        underWay = undefined;
        checkedMs = performance.now();
      });
    return underWay;
  };
  let narrowed = true;
  await alone(async () => {
    narrowed = await narrow();
  });
  const widened = narrowed ? undefined : alone(widen);
  if (whole) await widened;
  return {
    passes: () => passes,
    check: () => {
      if (!underWay && !ended && performance.now() - checkedMs > checkEveryMs) void alone(narrow);
    },
    end: () => {
      ended = true;
    },
  };
}
