import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { ip } from "../backend/rig.ts";

/** A host of its own: a network namespace, joined to the router by a cable. */
export type Host = {
  name: string;
  address: string;
  address6: string;
  /** the router's end of the cable, where it captures */
  cable: string;
  /** Runs a command there to its end; what it prints. */
  run(command: string, input?: string): string;
};

/**
 * A small internet, to be made inside of namespaces of our own (`enterNamespaces`): this process is its router, every host stands in a
 * network of its own behind it. Addresses look public, so that policies for the real one apply as they are.
 */
export function openInternet(names: string[]): Map<string, Host> {
  execFileSync("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"], { stdio: "pipe" });
  return new Map(names.map((name, index) => [name, addHost(name, index + 1)]));
}

/** The router's own address in the network of a host. */
export const routerOf = ({ address }: Host): string => address.replace(/\d+$/, "1");

/** A command that runs in the host's namespaces; with sockets of its own for the devices' configuration, whose paths are the same everywhere. */
export const inside = ({ name }: Pick<Host, "name">, command: string[]): [string, string[]] => [
  "ip",
  ["netns", "exec", name, "sh", "-c", 'mount --bind "$0" /run/wireguard && exec "$@"', `/run/hosts/${name}`, ...command],
];

function addHost(name: string, index: number): Host {
  // not 45.x itself but who has it does not matter: nothing here leaves this machine
  const network = `45.${index}.0`;
  const network6 = `2a10:${index}:`;
  const [address, address6] = [`${network}.2`, `${network6}:2`];
  const cable = `r${index}`;
  ip("netns", "add", name);
  ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name);
  ip("address", "add", `${network}.1/24`, "dev", cable);
  ip("address", "add", `${network6}:1/64`, "dev", cable, "nodad");
  ip("link", "set", cable, "up");
  ip("-n", name, "link", "set", "lo", "up");
  ip("-n", name, "address", "add", `${address}/24`, "dev", "eth0");
  ip("-n", name, "address", "add", `${address6}/64`, "dev", "eth0", "nodad");
  ip("-n", name, "link", "set", "eth0", "up");
  ip("-n", name, "route", "add", "default", "via", `${network}.1`);
  ip("-n", name, "-6", "route", "add", "default", "via", `${network6}:1`);
  execFileSync("mkdir", ["-p", `/run/hosts/${name}`]);
  const run = (command: string, input?: string) => {
    const [file, args] = inside({ name }, ["sh", "-ec", command]);
    return execFileSync(file, args, { stdio: ["pipe", "pipe", "pipe"], ...(input !== undefined && { input }) }).toString();
  };
  return { name, address, address6, cable, run };
}

/** Processes that run on the host now, with their command lines. */
export function processesOn({ name }: Host): { pid: number; command: string }[] {
  const network = `net:[${execFileSync("stat", ["-c", "%i", `/run/netns/${name}`])
    .toString()
    .trim()}]`;
  return readdirSync("/proc").flatMap((entry) => {
    try {
      if (!/^\d+$/.test(entry) || readlinkSync(`/proc/${entry}/ns/net`) !== network) return [];
      return [{ pid: Number(entry), command: readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ").trim() }];
    } catch {
      // it has ended
      return [];
    }
  });
}
