import { execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { ip } from "../backend/rig.ts";
import { type Host, inside, routerOf } from "./internet.ts";

/** As RFC 3489 names them: how packets are let in by the first three, which map alike, and by the last, which maps anew for each target. */
export const natKinds = ["none", "full", "restricted", "port-restricted", "symmetric"] as const;
export type NatKind = (typeof natKinds)[number];

const sets: Partial<Record<NatKind, { type: string; out: string; match: string }>> = {
  full: { type: "inet_service", out: "{ udp sport }", match: "udp dport" },
  restricted: { type: "ipv4_addr . inet_service", out: "{ ip daddr . udp sport }", match: "ip saddr . udp dport" },
};

/** What a router with such a NAT does, for one host behind it. Who comes unasked is dropped without a trace, as by a router that people have. */
function rules(kind: NatKind, inner: string): string {
  const set = sets[kind];
  return `table ip nat_test {
  ${set ? `set opened { type ${set.type}; flags dynamic,timeout; timeout 60s; }` : ""}
  chain forward { type filter hook forward priority 0; policy drop;
    ${set ? `iifname "lan" meta l4proto udp update @opened ${set.out}` : ""}
    iifname "lan" accept
    iifname "eth0" ct state established,related accept
    iifname "eth0" ct status dnat accept
  }
  chain input { type filter hook input priority 0; policy accept;
    iifname "eth0" ct state new drop
  }
  chain pre { type nat hook prerouting priority dstnat; policy accept;
    ${set ? `iifname "eth0" ${set.match} @opened dnat to ${inner}` : ""}
  }
  chain post { type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" masquerade ${kind === "symmetric" ? "random,fully-random" : ""}
  }
}
`;
}

/** A host behind this one, which becomes its router with that kind of NAT. With `none` it is this host itself. */
export function behind(router: Host, name: string, kind: NatKind): Host {
  if (kind === "none") return router;
  const [address, gateway] = ["192.168.7.2", "192.168.7.1"];
  ip("netns", "add", name);
  ip("-n", router.name, "link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns", name);
  ip("-n", router.name, "address", "add", `${gateway}/24`, "dev", "lan");
  ip("-n", router.name, "link", "set", "lan", "up");
  ip("-n", name, "link", "set", "lo", "up");
  ip("-n", name, "address", "add", `${address}/24`, "dev", "eth0");
  ip("-n", name, "link", "set", "eth0", "up");
  ip("-n", name, "route", "add", "default", "via", gateway);
  execFileSync("mkdir", ["-p", `/run/hosts/${name}`]);
  router.run("sysctl -q -w net.ipv4.ip_forward=1; nft -f -", rules(kind, address));
  const host = { ...router, name, address };
  const run = (command: string, input?: string) => {
    const [file, args] = inside(host, ["sh", "-ec", command]);
    return execFileSync(file, args, { stdio: ["pipe", "pipe", "pipe"], ...(input !== undefined && { input }) }).toString();
  };
  return { ...host, run };
}

/** for a packet to come that a NAT may let in or not */
const waitMs = 300;
/** sends from one socket to each place, and once its standard input ends prints who has sent to it until then */
const program = `const s = require("dgram").createSocket("udp4");
const got = [];
s.on("message", (m) => got.push(String(m)));
s.bind(41999, () => { for (const to of process.argv.slice(1)) { const [a, p] = to.split(":"); s.send("x", Number(p), a); } });
process.stdin.resume().on("end", () => setTimeout(() => { console.log(got.join(" ")); s.close(); }, ${waitMs}));`;

/**
 * The kind of NAT that a host is really behind, by its own packets: the router of the internet has an address in the network of each of
 * `others`; two of them are sent to, and from there, from another port there, and from the third come answers.
 */
export async function kindOf(host: Host, others: readonly [Host, Host, Host]): Promise<NatKind> {
  const sockets = await Promise.all(
    [others[0], others[0], others[1], others[2]].map(async (other) => {
      const socket = createSocket("udp4");
      socket.bind(0, routerOf(other));
      await once(socket, "listening");
      return socket;
    }),
  );
  let ending: () => void = () => undefined;
  try {
    const [first, otherPort, second, third] = sockets as [
      (typeof sockets)[0],
      (typeof sockets)[0],
      (typeof sockets)[0],
      (typeof sockets)[0],
    ];
    const seen = Promise.all([first, second].map((socket) => once(socket, "message", { signal: AbortSignal.timeout(5_000) })));
    const at = [first, second].map((socket) => `${socket.address().address}:${socket.address().port}`);
    const [file, args] = inside(host, [process.execPath, "-e", program, ...at]);
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
    ending = () => child.stdin.end();
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    const ended = once(child, "close");
    const [[, one], [, two]] = (await seen) as [[unknown, { address: string; port: number }], [unknown, { address: string; port: number }]];
    otherPort.send("port", one.port, one.address);
    third.send("address", one.port, one.address);
    ending();
    await ended;
    const [port, address] = ["port", "address"].map((word) => text.includes(word));
    if (one.port !== two.port) return "symmetric";
    if (one.address === host.address) return "none";
    if (address) return "full";
    return port ? "restricted" : "port-restricted";
  } finally {
    ending();
    for (const socket of sockets) socket.close();
  }
}
