/** Largest size of packet that is known to pass, and the largest that may yet; bytes of IPv4, as an interface's MTU has them. */
export type PathSearch = { passes: number; most: number };

/** What every IPv4 host takes (RFC 791), and so the least that is tried. */
export const leastMtu = 576;
/** What IPv6 needs, which reaches nearly everywhere, also through other tunnels: what a tunnel begins with. */
export const firstMtu = 1280;

/**
 * What a tunnel within another one leaves of its packets: IPv4, UDP and WireGuard's own header and tag are 60 bytes, and what is within is padded to
 * a multiple of 16.
 */
export const withinMtu = (outer: number): number => outer - 80;

/** a size is told by a round of so many, each at once */
const together = 8;
/** nearer is not worth a round */
const near = 4;

/** The sizes to be tried next, evenly apart and up to the most; none when it is found. */
export function sizesToTry({ passes, most }: PathSearch): number[] {
  const apart = most - passes;
  if (apart <= 0) return [];
  if (apart <= near) return [most];
  const count = Math.min(together, apart);
  return Array.from({ length: count }, (_, i) => Math.ceil(passes + (apart * (i + 1)) / count));
}

/** After a round: what has passed, and nothing that is larger than the first that has not. */
export function afterRound({ passes, most }: PathSearch, tried: readonly number[], passed: readonly number[]): PathSearch {
  const largest = Math.max(passes, ...passed);
  const failed = tried.filter((size) => size > largest);
  if (failed.length === 0) return { passes: largest, most: largest };
  const next = Math.min(...failed) - 1;
  return { passes: largest, most: next - largest < near ? largest : Math.min(most, next) };
}

/**
 * Finds the largest size that passes, from `passes` (which is taken for granted) to `most`.
 * @param round which of these sizes come back
 */
export async function searchPath(from: PathSearch, round: (sizes: number[]) => Promise<number[]>): Promise<number> {
  let search = from;
  for (let sizes = sizesToTry(search); sizes.length > 0; sizes = sizesToTry(search)) search = afterRound(search, sizes, await round(sizes));
  return search.passes;
}
