#!/usr/bin/env node
// Writes src/country/circles.ts: circles that cover each country, from Natural Earth's borders (public domain, in world-atlas).
// --check: writes nothing, ends with 1 when the file is not what would be written.
//
// A country is cut into cells of some degrees. What is in a cell is covered by one circle, of which a border is a few km
// wider than the land: so two countries are never further apart than their circles say they are at least.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { feature } from "topojson-client";

const file = fileURLToPath(new URL("../src/country/circles.ts", import.meta.url));
const atlas = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("world-atlas/countries-10m.json"), "utf8"));

const cell = 5;
/** degrees between the points that stand for an area, and km that lie between them at most */
const step = 0.25;
const margin = 40;
/** km²: in countries as large as this a peer may be further from an exit */
const largeArea = 1_000_000;
const radius = 6371;
const rad = Math.PI / 180;

/**
 * Without a number of their own: counted to the country that ISO 3166 knows them under, so that nobody there is taken for a liar. Reefs and
 * the like that are not named here are left out.
 */
const within = {
  Kosovo: "RS",
  Somaliland: "SO",
  "N. Cyprus": "CY",
  "Cyprus U.N. Buffer Zone": "CY",
  Dhekelia: "CY",
  Akrotiri: "CY",
  Baikonur: "KZ",
  "USNB Guantanamo Bay": "CU",
  "Siachen Glacier": "IN",
  "Indian Ocean Ter.": "AU",
};
/** ISO 3166-1 numeric -> alpha-2, which is what Unicode's canonical form of a region is. */
const codeOf = ({ id, properties }) =>
  id === undefined ? within[properties.name] : new Intl.Locale(`und-${String(id).padStart(3, "0")}`).region;

const distance = ([lon1, lat1], [lon2, lat2]) => {
  const h =
    Math.sin(((lat2 - lat1) * rad) / 2) ** 2 + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 2 * radius * Math.asin(Math.min(1, Math.sqrt(h)));
};

/** Points on the border, so close that none is further than `step` from the next. */
const along = (ring) =>
  ring.flatMap(([lon, lat], index) => {
    const [toLon, toLat] = ring[(index + 1) % ring.length];
    const parts = Math.max(1, Math.ceil(Math.max(Math.abs(toLon - lon), Math.abs(toLat - lat)) / step));
    return Array.from({ length: parts }, (_, part) => [lon + ((toLon - lon) * part) / parts, lat + ((toLat - lat) * part) / parts]);
  });

/** Points of a grid inside of a polygon: where a line of latitude has crossed its rings an odd number of times. */
function inside(rings) {
  const points = [];
  const lats = rings[0].map(([, lat]) => lat);
  for (let lat = Math.ceil(Math.min(...lats) / step) * step; lat <= Math.max(...lats); lat += step) {
    const crossings = rings.flatMap((ring) =>
      ring.flatMap(([lon1, lat1], index) => {
        const [lon2, lat2] = ring[(index + 1) % ring.length];
        return lat1 <= lat === lat2 <= lat ? [] : [lon1 + ((lat - lat1) / (lat2 - lat1)) * (lon2 - lon1)];
      }),
    );
    crossings.sort((a, b) => a - b);
    for (let index = 0; index + 1 < crossings.length; index += 2)
      for (let lon = Math.ceil(crossings[index] / step) * step; lon <= crossings[index + 1]; lon += step) points.push([lon, lat]);
  }
  return points;
}

/** km² of a ring, by Green's theorem in an equal-area projection. */
const areaOf = (ring) =>
  Math.abs(
    ring.reduce((sum, [lon, lat], index) => {
      const [toLon, toLat] = ring[(index + 1) % ring.length];
      return sum + (toLon - lon) * rad * (2 + Math.sin(lat * rad) + Math.sin(toLat * rad));
    }, 0) *
      (radius ** 2 / 2),
  );

/** The circle about the middle of these points, [tenths of a degree north, tenths east, km]. */
function circleOf(points) {
  const middle = (values) => Math.round(((Math.min(...values) + Math.max(...values)) / 2) * 10) / 10;
  const centre = [middle(points.map(([lon]) => lon)), middle(points.map(([, lat]) => lat))];
  const reach = Math.max(...points.map((point) => distance(centre, point)));
  return [Math.round(centre[1] * 10), Math.round(centre[0] * 10), Math.ceil(reach + margin)];
}

const countries = new Map();
for (const one of feature(atlas, atlas.objects.countries).features) {
  const code = codeOf(one);
  // nobody sells from Antarctica, and what a flat map makes of the pole is no shape
  if (code === undefined || code === "AQ") continue;
  const known = countries.get(code) ?? { points: [], area: 0 };
  countries.set(code, known);
  const polygons = one.geometry.type === "Polygon" ? [one.geometry.coordinates] : one.geometry.coordinates;
  for (const rings of polygons) {
    known.points.push(...rings.flatMap(along), ...inside(rings));
    known.area += areaOf(rings[0]);
  }
}
const lines = [...countries]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([code, { points }]) => {
    const cells = Map.groupBy(points, ([lon, lat]) => `${Math.floor(lon / cell)} ${Math.floor(lat / cell)}`);
    return `  ${code}: "${[...cells.values()].map((group) => circleOf(group).join(" ")).join(",")}",`;
  });
const large = [...countries].filter(([, { area }]) => area >= largeArea).map(([code]) => code);
const text = `// Written by scripts/countries.mjs from Natural Earth's borders (public domain). Do not edit.

/** Circles that cover a country together, each "tenths of a degree north, tenths of a degree east, km". */
export const circles: Record<string, string> = {
${lines.join("\n")}
};

/** Countries of ${largeArea / 1e6} million km² and more. */
export const large = "${large.sort().join(" ")}";
`;

if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (readFileSync(file, "utf8") !== text) {
  console.error("src/country/circles.ts is not what scripts/countries.mjs writes: run 'node scripts/countries.mjs'");
  process.exitCode = 1;
}
