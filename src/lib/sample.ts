import { createHash, randomBytes } from "node:crypto";

/** One of a bounded collection, as far as it matters for who has to go. */
export type Member = {
  key: string;
  /** what many of a kind have in common, for example a country */
  group: string;
  /** of more worth is kept before of less */
  weight: number;
  /** from `secretOrder` */
  order: number;
};

/**
 * An order of keys that nobody outside can foresee or choose a place in: it hangs on a secret of this process. What is kept by it is a
 * fair sample of all that came, whoever came first, last or most often.
 */
export function secretOrder(secret: Uint8Array = randomBytes(16)): (key: string) => number {
  return (key) => createHash("sha256").update(secret).update(key).digest().readUIntBE(0, 6);
}

/**
 * Who goes where there are `count` too many: of the least worth, in the group that has most of these, who is last in the secret order. So
 * who comes in masses displaces their own kind, and no one can aim at another.
 */
export function toEvict(members: Iterable<Member>, count: number): Member[] {
  const evicted: Member[] = [];
  const byWeight = [...Map.groupBy(members, ({ weight }) => weight)].sort(([a], [b]) => a - b);
  for (const [, alike] of byWeight) {
    const groups = [...Map.groupBy(alike, ({ group }) => group).values()];
    for (const group of groups) group.sort((a, b) => a.order - b.order);
    while (evicted.length < count) {
      const [first, ...rest] = groups.filter(({ length }) => length > 0);
      if (!first) break;
      const most = rest.reduce((a, b) => (b.length > a.length || (b.length === a.length && lastOf(b) > lastOf(a)) ? b : a), first);
      evicted.push(most.pop() as Member);
    }
  }
  return evicted;
}

const lastOf = (group: Member[]): number => group.at(-1)?.order ?? 0;

/** The same in an order that nobody has chosen; where it must be one that nobody can guess, see `secretOrder`. */
export const shuffled = <T>(items: T[]): T[] =>
  items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
