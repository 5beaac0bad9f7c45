import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { type HostView, viewHost, viewTrial } from "../node/helper.ts";
import type { Found } from "./doctor.ts";
import { mayOpenTunnels } from "./privileges.ts";

type Works = [name: string, work: () => Promise<Found>][];

/** the default of serve --listen-port */
const port = 51_820;
const answerMs = 3_000;
/** from here on new connections may be refused soon */
const nearlyFull = 0.8;

const ok = (found: string): Found => ({ state: "ok", found });
const note = (found: string, remedy: string): Found => ({ state: "note", found, remedy });

const modules = {
  firewall:
    "the kernel needs nf_tables with quotas, limits and NAT: 'modprobe -a nf_tables nft_quota nft_limit nft_connlimit nft_ct nft_nat nft_masq nft_redir nft_reject_inet'",
  "speed limits": "only --speed-limit needs it: 'modprobe -a sch_htb cls_u32 act_mirred ifb'",
} as const;

/** What an exit of kind `wireguard` needs of this machine, tried and not only looked up. Nobody else needs it, so nothing of it fails. */
export function exitChecks(): Works {
  let viewed: Promise<HostView> | undefined;
  let tried: ReturnType<typeof viewTrial> | undefined;
  const view = () => {
    viewed ??= viewHost();
    return viewed;
  };
  const trial = (part: keyof typeof modules) => async () => {
    tried ??= viewTrial();
    const problem = (await tried).find((one) => one.part === part)?.problem;
    return problem === undefined ? ok("takes what an exit sets up") : note(problem, modules[part]);
  };
  const works: Works = [
    ["  firewall", trial("firewall")],
    ["  speed limits", trial("speed limits")],
    ["  host", async () => way(await view())],
    ["  IPv6", async () => way6(await view())],
    ["  other firewalls", async () => others(await view())],
    ["  connections", async () => connections(await view())],
    ["  receive buffer", async () => receiveBuffer(await view())],
    ["  port", portIsFree],
    ["  names", names],
  ];
  return works.map(([name, work]) => [name, async () => (mayOpenTunnels() ? work() : note("not looked at", "run this as root"))]);
}

function way({ egressIf, forwards, mayForward }: HostView): Found {
  if (egressIf === undefined) return note("no default route", "an exit then needs --egress-if");
  if (!forwards && !mayForward)
    return note(
      "forwarding is off and may not be turned on",
      "run 'sysctl -w net.ipv4.ip_forward=1' on the host itself, where this is a container",
    );
  return ok(`out by ${egressIf}, forwarding is ${forwards ? "on" : "off (an exit turns it on)"}`);
}

export const way6 = ({ egress6If }: Pick<HostView, "egress6If">): Found =>
  egress6If === undefined
    ? note("no default route, or no public address by it", "serve --ipv6 needs both; without it clients' IPv6 is refused, as ever")
    : ok(`out by ${egress6If}, where serve --ipv6 is given`);

function others({ forwardDrops, inputDrops }: HostView): Found {
  if (forwardDrops.length > 0)
    return note(`${forwardDrops[0]} drops what is forwarded`, `to serve, let interface mystn0 pass in ${forwardDrops.join(", ")}`);
  if (inputDrops && !inputDrops.ports.includes(port))
    return note(
      `${inputDrops.chain} drops what it does not know`,
      `let clients in: 'ufw allow ${port}/udp', or the same in what firewall you have`,
    );
  return ok("none that keeps clients out");
}

export function connections({ conntrack }: Pick<HostView, "conntrack">): Found {
  if (!conntrack) return note("not known", "the kernel shows no nf_conntrack_max");
  const { count, max } = conntrack;
  if (count < max * nearlyFull) return ok(`${count} of ${max}`);
  return note(
    `${count} of ${max}`,
    `raise it: 'sysctl -w net.netfilter.nf_conntrack_max=${max * 4}', or lower --flow-limit and --max-sessions`,
  );
}

export function receiveBuffer({ receiveBuffer: { bytes, wanted, mayRaise } }: Pick<HostView, "receiveBuffer">): Found {
  if (bytes >= wanted) return ok(inKiB(bytes));
  if (mayRaise) return ok(`${inKiB(bytes)}, ${inKiB(wanted)} for a tunnel`);
  return note(
    `${inKiB(bytes)}, and may not be raised`,
    `on a fast line packets are lost by it: 'sysctl -w net.core.rmem_default=${wanted}' on the host itself, where this is a container`,
  );
}
const inKiB = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`;

async function portIsFree(): Promise<Found> {
  const socket = createSocket("udp4");
  try {
    socket.bind(port);
    await once(socket, "listening");
    return ok(`UDP ${port} is free`);
  } catch {
    return note(`UDP ${port} is in use`, "by a running exit, or choose another with serve --listen-port");
  } finally {
    socket.close();
  }
}

/** Clients' names are asked for at this machine's name servers. */
async function names(): Promise<Found> {
  const resolver = new Resolver({ timeout: answerMs, tries: 1 });
  const [server = "none"] = resolver.getServers();
  try {
    await resolver.resolveNs(".");
    return ok(`${server} answers`);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    // it has answered, if not what was asked
    if (["ENODATA", "ENOTFOUND", "ESERVFAIL", "EREFUSED"].includes(code)) return ok(`${server} answers`);
    return note(`${server} does not answer`, "clients' names will not be found: name a server that answers in /etc/resolv.conf");
  }
}
