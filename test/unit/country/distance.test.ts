import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { circles } from "../../../src/country/circles.ts";
import { apartKm, isLarge } from "../../../src/country/distance.ts";
import { isCountry } from "../../../src/lib/countries.ts";
import { describe } from "../../support/harness.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const rad = Math.PI / 180;
const km = ([lat1, lon1]: [number, number], [lat2, lon2]: [number, number]) =>
  2 *
  6371 *
  Math.asin(
    Math.sqrt(
      Math.sin(((lat2 - lat1) * rad) / 2) ** 2 + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2,
    ),
  );

/** Places at the edges of their countries, in degrees. */
const places: [country: string, lat: number, lon: number][] = [
  ["US", 47.61, -122.33],
  ["US", 21.31, -157.86],
  ["US", 52.91, 172.9],
  ["US", 44.9, -66.98],
  ["US", 24.55, -81.78],
  ["JP", 43.33, 145.58],
  ["JP", 24.34, 124.16],
  ["RU", 54.71, 20.51],
  ["RU", 66.16, -169.8],
  ["RU", 43.12, 131.9],
  ["DE", 54.78, 9.43],
  ["DE", 47.56, 7.59],
  ["FR", 43.7, 7.27],
  ["GB", 60.15, -1.14],
  ["PT", 37.74, -25.67],
  ["ES", 28.12, -15.43],
  ["CL", -53.16, -70.91],
  ["NZ", -43.95, -176.56],
  ["SG", 1.29, 103.85],
  ["MT", 35.9, 14.51],
  ["AU", -42.88, 147.33],
  ["IN", 8.08, 77.55],
  ["BR", -3.85, -32.42],
  ["IS", 65.68, -18.1],
  ["LU", 49.61, 6.13],
];

describe("country/distance", (test) => {
  test("no two places are nearer to each other than their countries are said to be", () => {
    let bounded = 0;
    for (const [a, lat1, lon1] of places)
      for (const [b, lat2, lon2] of places) {
        const apart = apartKm(a, b);
        assert.ok(apart !== undefined && apart <= km([lat1, lon1], [lat2, lon2]), `${a} ${b}: ${apart}`);
        if (apart > 0) bounded += 1;
      }
    assert.ok(bounded > 300, `${bounded} of ${places.length ** 2} are bounded at all`);
  });

  test("the bound is worth something: not far under what is the least between two shores", () => {
    const least: [string, string, number, number][] = [
      // km
      ["DE", "US", 4_200, 5_600],
      ["NL", "SG", 9_300, 10_300],
      ["JP", "US", 1_800, 2_900],
      ["DE", "JP", 7_300, 8_900],
      ["GB", "BR", 5_400, 7_300],
      ["IS", "GB", 300, 800],
    ];
    for (const [a, b, from, to] of least) {
      const apart = apartKm(a, b) ?? 0;
      assert.ok(apart >= from && apart <= to, `${a} ${b}: ${apart}`);
      assert.equal(apartKm(b, a), apart);
    }
  });

  test("neighbours are not apart, a country is not apart from itself, and what has no borders has no bound", () => {
    for (const [a, b] of [
      ["DE", "FR"],
      ["US", "CA"],
      ["RU", "US"],
      ["NL", "NL"],
      ["ES", "MA"],
    ] as const)
      assert.equal(apartKm(a, b), 0, `${a} ${b}`);
    assert.equal(apartKm("DE", "AQ"), undefined);
    assert.equal(apartKm("AQ", "AQ"), 0);
  });

  test("large are those of a million km² and more", () => {
    assert.ok(["RU", "US", "CN", "BR", "IN"].every(isLarge));
    assert.ok(!["DE", "JP", "FR", "NL", "ES"].some(isLarge));
  });

  test("the circles are what the script makes of the borders, each under a country's code", () => {
    execFileSync(process.execPath, ["scripts/countries.mjs", "--check"], { cwd: root, stdio: "pipe" });
    assert.deepEqual(
      Object.keys(circles).filter((code) => !isCountry(code)),
      [],
    );
    assert.ok(Object.keys(circles).length > 230);
  });
});
