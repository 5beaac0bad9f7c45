import { MystError } from "./errors.ts";

export const GiB = 1n << 30n;
export const MiB = 1n << 20n;
export const hourMs = 3_600_000;
/** Speed limits in bits a second: the least is what a session needs to say anything at all, the most is more than a machine forwards. */
export const speedMin = 64_000;
export const speedMax = 100_000_000_000;

/** A token as people write it: `symbol` is matched without regard to case, `decimals` as ERC-20 has them. */
export type Unit = { symbol: string; decimals: number };

const amountPattern = /^(\d{1,30})(?:\.(\d{1,30}))?\s*([a-z][a-z0-9.]*)?$/i;

/**
 * "0.1myst" as base units. The unit must be named, unless the amount is 0.
 * @throws BAD_AMOUNT for another unit, more decimals than the token has, or anything that is no plain decimal number
 */
export function parseAmount(text: string, unit: Unit): bigint {
  const bad = (why: string) =>
    new MystError("BAD_AMOUNT", `'${text.slice(0, 60)}' is no amount: ${why}`, {
      hint: `write it with its unit, for example 0.1${unit.symbol.toLowerCase()}`,
    });
  const match = amountPattern.exec(text.trim());
  if (!match) throw bad("expected a decimal number and a unit");
  const [, whole = "0", fraction = "", symbol] = match;
  const zero = /^0*$/.test(whole + fraction);
  if (symbol === undefined && !zero) throw bad("the unit is missing");
  if (symbol !== undefined && symbol.toLowerCase() !== unit.symbol.toLowerCase()) throw bad(`this network pays in ${unit.symbol}`);
  if (fraction.length > unit.decimals) throw bad(`${unit.symbol} has ${unit.decimals} decimals`);
  return BigInt(whole + fraction.padEnd(unit.decimals, "0"));
}

/** Base units as people read them, exact unless `digits` cuts (towards zero): 100000000000000000n -> "0.1 MYST". */
export function formatAmount(amount: bigint, unit: Unit, digits?: number): string {
  const text = amount
    .toString()
    .replace("-", "")
    .padStart(unit.decimals + 1, "0");
  const whole = text.slice(0, text.length - unit.decimals);
  const fraction = text
    .slice(text.length - unit.decimals, digits === undefined ? undefined : text.length - unit.decimals + digits)
    .replace(/0+$/, "");
  return `${amount < 0n ? "-" : ""}${whole}${fraction && `.${fraction}`} ${unit.symbol}`;
}

/** "1.2 GiB". */
export function formatBytes(bytes: bigint): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = Number(bytes);
  let name = 0;
  while (value >= 1024 && name < names.length - 1) {
    value /= 1024;
    name += 1;
  }
  return `${name === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${names[name]}`;
}

/** "850 ms", "3.2 s", "4 min 10 s", "2 h 5 min". */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
