import { circles, large } from "./circles.ts";

type Circle = { lat: number; lon: number; km: number };

const earthKm = 6_371;
const rad = Math.PI / 180;
/** the earth is no sphere: what is worked out on one is wrong by half a percent at most */
const roundness = 0.995;

const shapes = new Map<string, Circle[]>();
const known = new Map<string, number>();
const largeOnes = new Set(large.split(" "));

function shapeOf(country: string): Circle[] | undefined {
  const text = circles[country];
  if (text === undefined) return undefined;
  const shape =
    shapes.get(country) ??
    text.split(",").map((circle) => {
      const [lat = 0, lon = 0, km = 0] = circle.split(" ").map(Number);
      return { lat: (lat / 10) * rad, lon: (lon / 10) * rad, km };
    });
  shapes.set(country, shape);
  return shape;
}

/** Great circle between two points in radians, km. */
function between(a: Circle, b: Circle): number {
  const h = Math.sin((b.lat - a.lat) / 2) ** 2 + Math.cos(a.lat) * Math.cos(b.lat) * Math.sin((b.lon - a.lon) / 2) ** 2;
  return 2 * earthKm * Math.asin(Math.min(1, Math.sqrt(h)));
}

/**
 * How far two countries are apart at least, in km: no place of one is nearer to any of the other. 0 for neighbours; undefined where the
 * borders of one are not known.
 */
export function apartKm(a: string, b: string): number | undefined {
  if (a === b) return 0;
  const name = a < b ? `${a}${b}` : `${b}${a}`;
  const before = known.get(name);
  if (before !== undefined) return before;
  const [one, other] = [shapeOf(a), shapeOf(b)];
  if (!one || !other) return undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const here of one) for (const there of other) least = Math.min(least, between(here, there) * roundness - here.km - there.km);
  const km = Math.max(0, Math.floor(least));
  known.set(name, km);
  return km;
}

/** Is it one of a million km² and more? */
export const isLarge = (country: string): boolean => largeOnes.has(country);
