import { readFileSync, readlinkSync } from "node:fs";
import { MystError } from "../../../lib/errors.ts";
import { connectUapi, uapiPath } from "../backend/uapi-socket.ts";

/** Interfaces of our network namespace; /sys may show another one's. */
const interfaceNames = (): string[] =>
  readFileSync("/proc/self/net/dev", "utf8")
    .split("\n")
    .slice(2)
    .map((line) => line.split(":")[0]?.trim() ?? "");

/** The first of mystn0, mystn1, … that nobody has; a tunnel process elsewhere on this file system may hold the name of its socket. */
export async function freeIfname(prefix: string): Promise<string> {
  const taken = new Set(interfaceNames());
  for (let i = 0; i < 256; i += 1) {
    const name = `${prefix}${i}`;
    if (taken.has(name)) continue;
    try {
      (await connectUapi(uapiPath(name))).close();
    } catch {
      return name;
    }
  }
  throw new MystError("TUNNEL_FAILED", `every interface name from ${prefix}0 to ${prefix}255 is taken`);
}

/** Effective capabilities, of which CAP_NET_ADMIN is bit 12 (capabilities(7)). */
export function mayConfigure(): boolean {
  try {
    const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${hex}`) & (1n << 12n)) !== 0n;
  } catch {
    return false;
  }
}

export const privilegeNeeded = (what: string): MystError =>
  new MystError("PRIVILEGE_NEEDED", `${what} needs the right to configure this machine's network`, {
    hint: "run it with sudo, or use --service proxy, which needs no rights",
  });

/**
 * Where is written what is to be put back: a directory for each network namespace, as several may share one file system. "net:[4026531840]"
 * is how the kernel names ours.
 */
export const stateDirectory = (): string => `/run/mystnode/${readlinkSync("/proc/self/ns/net").replace(/\D/g, "")}`;
