import assert from "node:assert/strict";
import { type Member, secretOrder, toEvict } from "../../../src/lib/sample.ts";
import { describe } from "../../support/harness.ts";

const member = (key: string, group: string, weight = 0, order = 0): Member => ({ key, group, weight, order });
const keys = (members: Member[]) => members.map(({ key }) => key);

describe("lib/sample", (test) => {
  test("of least worth first; among these of the largest group; within it the last in the order", () => {
    const members = [
      member("a1", "a", 0, 1),
      member("a2", "a", 0, 3),
      member("a3", "a", 0, 2),
      member("b1", "b", 0, 9),
      member("c1", "c", 1, 10),
      member("c2", "c", 1, 11),
      member("c3", "c", 1, 12),
    ];
    assert.deepEqual(keys(toEvict(members, 1)), ["a2"]);
    assert.deepEqual(keys(toEvict(members, 2)), ["a2", "a3"]);
    // of two groups of one each, the later in the order
    assert.deepEqual(keys(toEvict(members, 4)), ["a2", "a3", "b1", "a1"]);
    assert.deepEqual(keys(toEvict(members, 5)), ["a2", "a3", "b1", "a1", "c3"]);
    assert.deepEqual(keys(toEvict(members, 99)).length, members.length);
    assert.deepEqual(toEvict(members, 0), []);
    assert.deepEqual(toEvict([], 3), []);
  });

  test("the order is another for each secret, and the same for the same", () => {
    const names = Array.from({ length: 50 }, (_, index) => `peer ${index}`);
    const sorted = (orderOf: (key: string) => number) => names.toSorted((a, b) => orderOf(a) - orderOf(b));
    const [one, other] = [secretOrder(), secretOrder()];
    assert.deepEqual(sorted(one), sorted(one));
    assert.notDeepEqual(sorted(one), sorted(other));
    assert.notDeepEqual(sorted(one), names);
  });
});
