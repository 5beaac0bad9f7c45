import assert from "node:assert/strict";
import { plotOfScale } from "../perf/scale.ts";
import { describe } from "./harness.ts";
import { brief, plotOf } from "./plot.ts";

const dotsOf = (svg: string) =>
  [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)] as const);
const draw = (points: [number, number][]) => plotOf("t", "peers", [{ title: "p", unit: "u", points }]);

describe("support/plot", (test) => {
  test("each point has its place, by its logarithm; in order, whatever order they are given in", () => {
    const dots = dotsOf(
      draw([
        [1_000, 40],
        [10, 4],
        [100, 0.4],
      ]),
    );
    const [[x1, y1], [x2, y2], [x3, y3]] = dots as [[number, number], [number, number], [number, number]];
    assert.ok(Math.abs(x2 - x1 - (x3 - x2)) < 0.2, "ten times as many is as far again");
    assert.ok(x1 < x2 && y2 > y1 && y1 > y3, "what is larger is higher");
    assert.ok(Math.abs(y2 - y1 - (y1 - y3)) < 0.2);
  });

  test("what has no place on such an axis is left out, and nothing at all is said", () => {
    const svg = draw([
      [10, 0],
      [100, Number.NaN],
      [1_000, Number.POSITIVE_INFINITY],
      [10_000, 5],
    ]);
    assert.equal(dotsOf(svg).length, 1);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    assert.match(draw([]), /not measured/);
  });

  test("texts are escaped; numbers are brief", () => {
    assert.match(plotOf('a<b & "c"', "x", []), /a&#60;b &#38; &#34;c&#34;/);
    assert.deepEqual([0.45, 12, 1_234, 1_200_000].map(brief), ["0.45", "12", "1.23k", "1.2M"]);
  });

  test("the bench's figures find their panels, by name and size", () => {
    const figure = (name: string, value: number) => ({ name, value, unit: "", better: "lower" as const });
    const svg = plotOfScale([
      figure("bytesPerOfferOf100", 4_000),
      figure("bytesPerOfferOf1000", 4_100),
      figure("heapPerPeerOf100", 130_000),
      figure("otherOf100", 1),
    ]);
    assert.equal(dotsOf(svg).length, 3);
    assert.equal([...svg.matchAll(/not measured/g)].length, 4);
  });
});
