import { decode, encode } from "cborg";
import type { Random } from "../../../support/random.ts";

const extremes: unknown[] = [
  0,
  1,
  -1,
  2 ** 31,
  2 ** 53 - 1,
  -(2 ** 53 - 1),
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  null,
  true,
  false,
  "",
  [],
  {},
];
const mostNested = 60;

function anything(random: Random, depth = 0): unknown {
  const kind = random.int(depth > 3 ? 4 : 7);
  if (kind === 0) return random.of(extremes);
  if (kind === 1) return random.bytes(random.int(80));
  if (kind === 2) return Buffer.from(random.bytes(random.int(60))).toString(random.of(["latin1", "hex", "base64"]));
  if (kind === 3) return random.big(64);
  if (kind === 4) return Array.from({ length: random.int(6) }, () => anything(random, depth + 1));
  if (kind === 5)
    return Object.fromEntries(Array.from({ length: random.int(6) }, () => [`k${random.int(99)}`, anything(random, depth + 1)]));
  let nested: unknown = random.of(extremes);
  for (let left = random.int(mostNested); left > 0; left--) nested = left % 2 ? [nested] : { a: nested };
  return nested;
}

/** The same tree with one thing in it another. */
function altered(value: unknown, random: Random): unknown {
  if (Array.isArray(value) && value.length > 0 && random.int(4) > 0) {
    const at = random.int(value.length);
    const how = random.int(4);
    if (how === 0) return value.toSpliced(at, 1);
    if (how === 1) return [...value, ...value];
    return value.with(at, altered(value[at], random));
  }
  if (value !== null && typeof value === "object" && !(value instanceof Uint8Array) && random.int(6) > 0) {
    const keys = Object.keys(value);
    const key = keys.length > 0 ? random.of(keys) : "x";
    const { [key]: old, ...rest } = value as Record<string, unknown>;
    const how = random.int(6);
    if (how === 0) return rest;
    if (how === 1) return { ...value, [`${key}x`]: anything(random) };
    return { ...rest, [key]: how === 2 ? anything(random) : altered(old, random) };
  }
  if (value instanceof Uint8Array && value.length > 0 && random.int(3) > 0) {
    // what is signed is bytes within a message, and a message itself
    const inner = value.length > 40 && random.int(2) === 0 ? treeOf(value) : undefined;
    return inner !== undefined && typeof inner === "object" ? encode(altered(inner, random)) : flipped(value, random);
  }
  if (typeof value === "number" && random.int(3) > 0)
    return random.of([value + 1, value - 1, -value, value * 2, value / 3, 2 ** 40 * value]);
  if (typeof value === "string" && random.int(3) > 0)
    return random.of([`${value}\u0000`, value.slice(1), `${value}${value}`, value.toUpperCase(), "\ud800", "é".repeat(300)]);
  return anything(random);
}

function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const made = Uint8Array.from(bytes);
  for (let left = 1 + random.int(4); left > 0 && made.length > 0; left--) made[random.int(made.length)] = random.int(256);
  const how = random.int(5);
  if (how === 0) return made.slice(0, random.int(made.length + 1));
  if (how === 1) return Uint8Array.from([...made, ...random.bytes(random.int(40))]);
  return made;
}

/** As JSON or CBOR has it, where it is one. */
const treeOf = (bytes: Uint8Array): unknown => {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
};

/** Bytes that are nearly a message: one of these with something in it another. */
export function structured(samples: readonly Uint8Array[], random: Random, maxBytes: number): Uint8Array {
  const sample = samples.length > 0 && random.int(8) > 0 ? random.of(samples) : undefined;
  let made: Uint8Array;
  const tree = sample && random.int(4) > 0 ? treeOf(sample) : undefined;
  try {
    if (tree !== undefined) made = encode(altered(tree, random));
    else made = sample ? flipped(sample, random) : encode(anything(random));
  } catch {
    made = random.bytes(40);
  }
  return made.slice(0, maxBytes);
}

export const noise = (random: Random, maxBytes: number): Uint8Array =>
  random.bytes(random.int(8) === 0 ? Math.min(maxBytes, random.int(3_000)) : random.int(Math.min(maxBytes, 120) + 1));

/** JSON that is nearly an input. */
export const nearly = (input: unknown, random: Random): unknown => altered(input, random);
