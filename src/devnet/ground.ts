import { type ExitPlan, hasAddress } from "./plan.ts";
import { ownProgram } from "./processes.ts";
import { type Visit, type VisitOptions, visit } from "./visit.ts";
import { startWebServer } from "./web-server.ts";

export type DevnetService = "proxy" | "wireguard";

/** What the parts of a devnet stand on: this machine's loopback, or network namespaces of their own (netns/ground.ts). */
export type Ground = {
  service: DevnetService;
  at(part: string): Spot;
  /** the address that clients of an exit leave from; undefined where it has none of its own */
  egress(plan: ExitPlan): Promise<string | undefined>;
  /** the command line that runs this program there */
  program: readonly string[];
  /** what `serve` is told beside, to go out from there and to let clients reach the web site */
  serveArgs(web: Web, egress: string | undefined): readonly string[];
  /** what `connect` is told beside */
  connectArgs: readonly string[];
  startWeb(): Promise<Web>;
  /** Fetches a page of the web site where that part stands. */
  visit(part: string, url: string, options: VisitOptions): Promise<Visit>;
  /** what stands between consumer and exits; undefined where nothing does */
  router?: { traffic(): Promise<RouterTraffic> };
};

export type Spot = {
  /** put before a command, it runs there */
  enter: readonly string[];
  /** where its servers listen */
  address: string;
};

export type Web = { url: string; hostPort: string; ended?: Promise<void>; stop(): Promise<void> };

/** Counted at the router since it is there. The consumer of the demonstration is the only one that has tunnels through it. */
export type RouterTraffic = {
  /** UDP payload of tunnels between the consumer and exits, both directions together */
  tunnelBytes: bigint;
  /** packets of the consumer outside of the tunnel that are not control plane */
  outsidePackets: number;
};

/** a SOCKS server on any free port */
export const anyProxy = ["--proxy", "127.0.0.1:0"];
const localhost = "127.0.0.1";

/** Everything on loopback, as anybody may. Exits leave from loopback addresses of their own where the system has them. */
export const loopbackGround: Ground = {
  service: "proxy",
  at: () => ({ enter: [], address: localhost }),
  egress: async ({ egress }) => ((await hasAddress(egress)) ? egress : undefined),
  program: ownProgram,
  serveArgs: ({ hostPort }, egress) => ["--allow", hostPort, ...(egress === undefined ? [] : ["--egress-address", egress])],
  connectArgs: anyProxy,
  startWeb: startWebServer,
  visit: (_, url, options) => visit(url, options),
};
