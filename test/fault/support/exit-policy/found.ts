import assert from "node:assert/strict";

export type PolicyFound = {
  /** tries by kind and way */
  tried: Record<string, number>;
  /** what has got through, and what has kept a run from saying anything */
  problems: string[];
  /** how many got through */
  passed: number;
  /** how much of what may pass did pass meanwhile */
  reached: number;
  /** with the policy off: by kind and way, how much was seen to arrive */
  seen: Record<string, number>;
};
export type PolicyOptions = { runs: number; log(line: string): void; signal?: AbortSignal };

/** With the policy off each of so many kinds and ways was seen to arrive. */
export function assertSeen({ seen }: PolicyFound, kinds: number): void {
  for (const [kind, arrived] of Object.entries(seen)) assert.ok(arrived > 0, kind);
  assert.equal(Object.keys(seen).length, kinds);
}

/** Of at least so many tries none arrived, while what may pass did, so often at least. */
export function assertNonePassed({ problems, passed, reached, tried }: PolicyFound, tries: number, allowed: number): void {
  assert.deepEqual(problems, []);
  assert.equal(passed, 0);
  assert.ok(reached >= allowed, `${reached}`);
  assert.ok(Object.values(tried).reduce((all, count) => all + count, 0) >= tries);
}
