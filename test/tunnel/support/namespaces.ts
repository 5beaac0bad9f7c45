import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runTool } from "../../../src/services/wireguard/backend/run-tool.ts";
import type { Run, SysctlAccess } from "../../../src/services/wireguard/host/tools.ts";
import type { Asked, Probe, Told } from "./probe.ts";

/** A network namespace with a process in it that probes what can be reached from there. */
export type Namespace = {
  name: string;
  /** Runs a command there to its end; what it prints. */
  run(command: string, input?: string): string;
  /** What came of a probe, see `Probe`. */
  ask(probe: Probe): Promise<string>;
  /** for `createHostNet` on that host */
  net: { run: Run; sysctl: SysctlAccess };
  end(): Promise<void>;
};

const program = fileURLToPath(new URL("./probe.ts", import.meta.url));

/**
 * To be called inside of namespaces of our own (`enterNamespaces`).
 * @param shared another process on a host that is there already
 */
export async function openNamespace(name: string, { shared = false } = {}): Promise<Namespace> {
  const inside = ["nsenter", `--net=/run/netns/${name}`];
  const run = (command: string, input = ""): string =>
    execFileSync("nsenter", [...inside.slice(1), "sh", "-ec", command], {
      input,
      stdio: ["pipe", "pipe", "pipe"],
      maxBuffer: 2 ** 26,
    }).toString();
  if (!shared) {
    execFileSync("ip", ["netns", "add", name], { stdio: "pipe" });
    run("ip link set lo up");
  }
  const child = spawn("nsenter", [...inside.slice(1), process.execPath, program], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const waiting = new Map<number, { resolve(result: string): void; reject(error: unknown): void }>();
  child.on("message", ({ id, result, error }: Told) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(result ?? "");
    else asked?.reject(new Error(`${name}: ${error}`));
  });
  await once(child, "message", { signal: AbortSignal.timeout(30_000) });
  let ids = 0;
  return {
    name,
    run,
    ask: (probe) =>
      new Promise((resolve, reject) => {
        ids += 1;
        waiting.set(ids, { resolve, reject });
        child.send({ id: ids, probe } satisfies Asked);
      }),
    net: {
      run: (tool, args, options) => runTool("nsenter", [...inside.slice(1), tool, ...args], options),
      sysctl: {
        read: (key) => {
          try {
            return run(`cat /proc/sys/${key}`).trim();
          } catch {
            return undefined;
          }
        },
        write: (key, value) => void run(`cat > /proc/sys/${key}`, value),
        list: (key) => run(`ls /proc/sys/${key}`).trim().split("\n"),
      },
    },
    end: async () => {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** A cable between two hosts, each end with a name and, if given, an address. */
export function cable(a: Namespace, aEnd: string, b: Namespace, bEnd: string): void {
  a.run(`ip link add ${aEnd} type veth peer name ${bEnd} netns ${b.name}; ip link set ${aEnd} up`);
  b.run(`ip link set ${bEnd} up`);
}

/** All that a plan may change on a host, as text that is equal where nothing differs. */
export const hostLook = (host: Namespace): string =>
  host.run(
    "nft -s list ruleset; ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all; ip -o addr | sed 's/valid_lft.*//'; grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf 2>/dev/null | sort",
  );

/** What of the one look is not in the other, in both directions: empty where they are the same to the letter. */
export function lookDifference(now: string, before: string): string[] {
  if (now === before) return [];
  const lines = { now: now.split("\n"), before: before.split("\n") };
  const difference = [
    ...lines.now.filter((line) => !lines.before.includes(line)).map((line) => `+ ${line}`),
    ...lines.before.filter((line) => !lines.now.includes(line)).map((line) => `- ${line}`),
  ];
  return difference.length > 0 ? difference : ["the same lines in another order"];
}
