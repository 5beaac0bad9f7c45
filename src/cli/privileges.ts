import { readFileSync } from "node:fs";

const netAdmin = 1n << 12n;

/** A set of capabilities as the kernel has it for this process; empty where there is no such thing. */
function capabilities(set: "CapEff" | "CapAmb"): bigint {
  try {
    const [, hex] = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, "m").exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return hex === undefined ? 0n : BigInt(`0x${hex}`);
  } catch {
    return 0n;
  }
}

/**
 * Whether what this process starts may change the machine's network: with CAP_NET_ADMIN, as root has it outside of containers, or
 * handed on by whoever started it (systemd's AmbientCapabilities).
 */
export const mayOpenTunnels = (): boolean =>
  (capabilities("CapEff") & netAdmin) !== 0n && (process.getuid?.() === 0 || (capabilities("CapAmb") & netAdmin) !== 0n);
