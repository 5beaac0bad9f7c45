import { isIP } from "node:net";
import { homedir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { Hex } from "../lib/codec.ts";
import { parseCountry } from "../lib/countries.ts";
import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import { parseSchedule, type Schedule } from "../lib/schedule.ts";
import { parseAmount, speedMax, speedMin, type Unit } from "../lib/units.ts";
import type { AmountSetting, OptionKind } from "../option-kinds.ts";
import { machineUsers } from "./users.ts";

export type Environment = Record<string, string | undefined>;

/** Where a value was written: `name` for error messages, and what relative paths start from. */
export type Origin = { name: string; directory: string; env: Environment; choices?: readonly string[] };

const peerPattern = /^[1-9A-HJ-NP-Za-km-z]{6,60}$/;
const invitePattern = /^(\/[^/\s]+){2,12}\/p2p\/[1-9A-HJ-NP-Za-km-z]{40,60}$/;
const listenPattern = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/\s]+)\/tcp\/(\d{1,5})$/;
/** what the kernel takes for one, without what would need quoting somewhere */
const interfacePattern = /^[a-z][a-z0-9_.-]{0,14}$/i;
const scales = { "": 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const powers = { k: 1e3, m: 1e6, g: 1e9 } as const;
const sizes = { "": 0n, KiB: 10n, MiB: 20n, GiB: 30n, TiB: 40n } as const;

const isPort = (text: string | undefined): boolean => text !== undefined && /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
const isHost = (text: string): boolean => isIP(text) !== 0 || /^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$/i.test(text);

/** host and port of "1.2.3.4:80", "[::1]:80", "name:80" */
const splitHostPort = (text: string): { host: string; port: string } | undefined => {
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  return host !== undefined && isPort(port) && (bracketed === undefined || isIP(bracketed) === 6) && isHost(host)
    ? { host, port }
    : undefined;
};

/** Where people keep things. Root's data is the machine's; who calls sudo is meant by it, and finds its own; who sets HOME means that. */
function homes(env: Environment): { home: string; data: string } {
  const home = env.HOME || homedir();
  const isRoot = process.getuid?.() === 0 && home === userInfo().homedir;
  const caller = isRoot && env.SUDO_UID ? machineUsers().find(({ uid }) => uid !== 0 && uid === Number(env.SUDO_UID)) : undefined;
  const own = caller?.home ?? home;
  return { home: own, data: env.XDG_DATA_HOME || (isRoot && !caller ? "/var/lib" : join(own, ".local/share")) };
}

/** `~/`, $XDG_DATA_HOME and $XDG_CONFIG_HOME filled in, then made absolute. */
export function expandPath(text: string, directory: string, env: Environment): string {
  const { home, data } = homes(env);
  const filled = text
    .replace(/^~(?=\/|$)/, () => home)
    .replace(/^\$XDG_DATA_HOME(?=\/|$)/, () => data)
    .replace(/^\$XDG_CONFIG_HOME(?=\/|$)/, () => env.XDG_CONFIG_HOME || join(home, ".config"));
  return resolve(directory, filled);
}

/** The amount for when its unit is known; its form is checked at once. */
function amountSetting(text: string): AmountSetting {
  const symbol = /^[\d.]+\s*([a-z][a-z0-9.]*)$/i.exec(text.trim())?.[1] ?? "myst";
  parseAmount(text, { symbol, decimals: 30 });
  return (unit) => parseAmount(text, unit);
}

/** An amount from the option table, in whatever the network's token is; never rounded down to nothing. */
export const defaultAmount =
  (text: string): AmountSetting =>
  (unit: Unit) => {
    const [whole = "0", fraction = ""] = text.split(".");
    const amount = BigInt(whole + fraction.padEnd(unit.decimals, "0").slice(0, unit.decimals));
    return amount > 0n || /^[0.]*$/.test(text) ? amount : 1n;
  };

/**
 * One value of one option, as written on the command line, in the environment or in the config file.
 * @throws BAD_VALUE, BAD_COUNTRY, BAD_AMOUNT, BAD_ADDRESS
 */
export function parseValue(kind: OptionKind, text: string, origin: Origin): unknown {
  const bad = (expected: string, hint: string, code: ErrorCode = "BAD_VALUE") =>
    new MystError(code, `${origin.name}: '${text.slice(0, 80)}' is not ${expected}`, { hint });
  switch (kind) {
    case "string":
      if (text.length === 0 || text.length > 200) throw bad("a name", "write 1 to 200 characters");
      return text;
    case "country":
      return parseCountry(text);
    case "amount":
      return amountSetting(text);
    case "integer":
      if (!/^\d{1,9}$/.test(text) || Number(text) === 0) throw bad("a whole number above 0", "write it in digits, for example 20");
      return Number(text);
    case "percent": {
      const [, whole, fraction = ""] = /^(\d{1,3})(?:\.(\d{1,2}))?\s?%$/.exec(text) ?? [];
      const bps = Number(`${whole}${fraction.padEnd(2, "0")}`);
      if (whole === undefined || bps > 10_000) throw bad("a percentage", "write it like 2% or 1.5%");
      return bps;
    }
    case "flag":
      if (!/^(1|0|true|false|yes|no)$/i.test(text)) throw bad("yes or no", "write 1 or 0");
      return /^(1|true|yes)$/i.test(text);
    case "path":
      if (text.length === 0) throw bad("a path", "name a file or directory");
      return expandPath(text, origin.directory, origin.env);
    case "duration": {
      const [, count, unit = ""] = /^(\d{1,6})(s|m|h|d)?$/.exec(text) ?? [];
      if (count === undefined) throw bad("a time", "write a number and s, m, h or d, for example 24h");
      return Number(count) * scales[unit as keyof typeof scales];
    }
    case "size": {
      const [, count, unit = ""] = /^(\d{1,12})(KiB|MiB|GiB|TiB)?$/.exec(text) ?? [];
      if (count === undefined || BigInt(count) === 0n) throw bad("a size", "write a number and KiB, MiB, GiB or TiB, for example 64MiB");
      return BigInt(count) << sizes[unit as keyof typeof sizes];
    }
    case "hours":
      return hoursOf(text, bad);
    case "speed": {
      const [, count, unit = ""] = /^(\d{1,9})([kmg])bit$/i.exec(text) ?? [];
      const speed = Number(count) * powers[unit.toLowerCase() as keyof typeof powers];
      if (count === undefined || speed < speedMin || speed > speedMax)
        throw bad("a speed", "write a number and Kbit, Mbit or Gbit (a second), from 64Kbit to 100Gbit, for example 20Mbit");
      return speed;
    }
    case "choice":
      if (!origin.choices?.includes(text)) throw bad("one of the choices", `use ${origin.choices?.join(", ")}`);
      return text;
    case "url":
      if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) throw bad("a URL", "write it like http://127.0.0.1:8545");
      return text;
    case "peer":
      if (!peerPattern.test(text)) throw bad("a peer id", "copy one from 'mystnode exits --json', or its last characters", "BAD_ADDRESS");
      return text;
    case "account":
      if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw bad("an account", "write 0x and 40 hex digits", "BAD_ADDRESS");
      return text.toLowerCase() as Hex;
    case "ip":
      if (isIP(text) === 0) throw bad("an IP address", "write it like 192.0.2.7 or 2001:db8::7", "BAD_ADDRESS");
      return text;
    case "hostport":
      if (!splitHostPort(text)) throw bad("a host and port", "write it like 127.0.0.1:1080", "BAD_ADDRESS");
      return text;
    case "listen":
      return listenAddress(text, bad("an address to listen on", "write it like 0.0.0.0:4480 or /ip4/0.0.0.0/tcp/4480", "BAD_ADDRESS"));
    case "invite":
      if (!invitePattern.test(text)) throw bad("a peer's address", "write it like /ip4/192.0.2.7/tcp/4480/p2p/16Uiu2…", "BAD_ADDRESS");
      return text;
    case "share":
      if (!/^(0(\.\d{1,17})?|1(\.0{1,17})?)$/.test(text)) throw bad("a number from 0 to 1", "write it like 0.5");
      return Number(text);
    case "port":
      if (!isPort(text)) throw bad("a port", "write a number from 0 to 65535");
      return Number(text);
    case "ports": {
      const ports = text === "none" ? [] : text.split(",").map((part) => part.trim());
      if (ports.length > 32 || !ports.every((port) => isPort(port) && Number(port) > 0))
        throw bad("a list of ports", "write up to 32 of them, for example 25,6881, or none");
      return ports.map(Number);
    }
    case "interface":
      if (!interfacePattern.test(text)) throw bad("an interface", "write its name as 'ip link' shows it, for example eth0");
      return text;
    case "network":
      if (!/^(\d{1,3}\.){3}\d{1,3}(\/\d{1,2})?$/.test(text) || isIP(text.split("/")[0] ?? "") !== 4 || Number(text.split("/")[1] ?? 0) > 32)
        throw bad("an IPv4 network", "write it like 192.0.2.0/24", "BAD_ADDRESS");
      return text;
    case "destination": {
      const [range = "", port] = splitHostPort(text) ? [splitHostPort(text)?.host, splitHostPort(text)?.port] : [text];
      const [ip = "", bits] = range.split("/");
      const width = { 0: -1, 4: 32, 6: 128 }[isIP(ip) as 0 | 4 | 6];
      const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width && port === undefined);
      if (width < 0 || !fits) throw bad("a destination", "write it like 192.0.2.7:8080 or 192.0.2.0/24", "BAD_ADDRESS");
      return text;
    }
  }
}

function hoursOf(text: string, bad: (expected: string, hint: string) => MystError): Schedule {
  try {
    return parseSchedule(text);
  } catch (error) {
    throw bad("a time of the week", asMystError(error).hint ?? "");
  }
}

function listenAddress(text: string, error: MystError): string {
  // through relays, and in no other way
  if (text === "/p2p-circuit") return text;
  const [, family, host = "", port] = listenPattern.exec(text) ?? [];
  if (family) {
    const version = { ip4: 4, ip6: 6 }[family as "ip4" | "ip6"];
    if (!isPort(port) || (version !== undefined && isIP(host) !== version)) throw error;
    return text;
  }
  const split = splitHostPort(text);
  const version = split && isIP(split.host);
  if (!split || !version) throw error;
  return `/ip${version}/${split.host}/tcp/${split.port}`;
}
