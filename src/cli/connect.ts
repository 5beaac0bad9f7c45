import type { ApiClient } from "../api/client.ts";
import type { Output as ApiOutput, Input } from "../api/routes.ts";
import { MystError } from "../lib/errors.ts";
import { formatAmount, formatDuration, type Unit } from "../lib/units.ts";
import { checkHops } from "../node/hops.ts";
import type { ConnectStep, ExitView } from "../node/types.ts";
import type { Settings } from "../options.ts";
import type { Context, Run } from "./context.ts";
import { allFacts, follow } from "./following.ts";
import { facts, shortPeer } from "./format.ts";
import { chooseNetwork, countryOptions, hostNode, networkOf, runningNode } from "./hosting.ts";
import type { Output } from "./output.ts";
import { wholePeer } from "./peers.ts";
import { mayOpenTunnels } from "./privileges.ts";
import { defaultText, serviceToUse } from "./services.ts";
import { priceText, reachText, roughAmount, sessionFacts } from "./texts.ts";

/** Goes out through an exit until told to stop, by the node that runs or else by one in this process. */
export const connect: Run<"connect"> = async (context) => {
  const { freshIdentity, dataDir } = context.settings;
  if (freshIdentity === undefined) return connectFrom(context);
  const running = await runningNode(dataDir, context.interrupts.signal);
  const network = running ? await networkOf(running) : await chooseNetwork(context.settings);
  const { freshDataDir } = await import("./fresh.ts");
  const fresh = await freshDataDir(context, network, freshIdentity);
  return connectFrom({ ...context, settings: { ...context.settings, dataDir: fresh } });
};

const connectFrom: Run<"connect"> = async (context) => {
  const { settings, args, out, interrupts } = context;
  const running = await runningNode(settings.dataDir, interrupts.signal);
  const network = running ? await networkOf(running) : await chooseNetwork(settings);
  const service = serviceToUse(settings.service, running ? await tunnels(running, interrupts.signal) : mayOpenTunnels());
  const wanted = wishes({ ...settings, service }, args[0], network.token);
  if (settings.service === undefined) out.progress(defaultText(service));
  const forStarting = settings.discovery.length + settings.bootstrap.length + settings.geoipDb.length > 0 || settings.here !== undefined;
  if (running && forStarting)
    out.warn("a node runs already: --discovery, --bootstrap, --geoip-db and --here are for the command that starts it");
  await using host = running ? undefined : await hostNode(context, network, { ...startOptions(settings), tunnel: service === "wireguard" });
  const api = running ?? (host as NonNullable<typeof host>).api;
  if (wanted.peer !== undefined) wanted.peer = await wholePeer(api, wanted.peer);
  if (wanted.shield?.killSwitch === false) out.warn(unguarded);
  if (settings.dryRun) return await dryRun(context, api, wanted, network.token);
  out.progress(`looking for ${where(wanted)}`);
  let id = "";
  for await (const item of api.stream("connect", wanted, interrupts.signal)) {
    if (item.type === "connected") id = item.connection.sessionId;
    tell(out, item, wanted, network.token);
  }
  const { session, sessions = [], error } = await follow(context, api, id, network.token);
  if (session) {
    out.object({ type: "ended", session, sessions });
    out.print(facts({ ...sessionFacts(session, network.token, Date.now()), ...allFacts(sessions, network.token) }));
  }
  if (error) throw error;
  return interrupts.status();
};

const unguarded = "the kill switch is off: whenever the tunnel is not up, everything leaves this machine as without one";

/** Whether the node that runs has been started for tunnels. */
const tunnels = async (api: ApiClient, signal: AbortSignal) => (await api.call("status", {}, signal)).tunnel !== undefined;

const startOptions = ({ bootstrap, discovery, mdns, shareRecords, ...settings }: Settings<"connect">) => ({
  ...countryOptions(settings),
  bootstrap,
  mdns: mdns === "on",
  shareRecords: shareRecords === "on",
  ...(discovery.length > 0 && { discovery }),
});

/**
 * What is asked of the node. A consumer always names what it is ready to pay: with 0 it would find no exit that lives on it.
 * @throws CONSUMER_PRICE_ZERO, BUDGET_TOO_SMALL, BAD_AMOUNT
 */
export function wishes(settings: Settings<"connect">, peer: string | undefined, unit: Unit): Input<"connect"> {
  const maxPerGiB = settings.maxPriceGib(unit);
  const budget = settings.budget(unit);
  const example = unit.symbol.toLowerCase();
  if (maxPerGiB === 0n)
    throw new MystError("CONSUMER_PRICE_ZERO", "a price cap of 0 matches no exit", {
      hint: `name the most you would pay, for example --max-price-gib 0.2${example}, and see 'mystnode exits'`,
    });
  if (budget === 0n)
    throw new MystError("BUDGET_TOO_SMALL", "a budget of 0 buys nothing", { hint: `set one, for example --budget 1${example}` });
  const {
    country,
    city,
    networkKind,
    openPort,
    minScore,
    evidence,
    service = "proxy",
    exclude,
    via,
    failover,
    proxy,
    backend,
    postQuantum,
    hops,
  } = settings;
  const twice = hops === "2" && { hops: 2 as const };
  checkHops({ service, ...twice });
  return {
    service,
    ...twice,
    maxPerGiB,
    maxPerHour: settings.maxPriceHour(unit),
    budget,
    ...(service === "proxy"
      ? { proxy }
      : { ...(backend !== undefined && { backend }), postQuantum: postQuantum === "on", shield: shieldOf(settings) }),
    ...(peer !== undefined && { peer }),
    ...(country !== undefined && { country }),
    ...(city !== undefined && { city }),
    ...(networkKind !== undefined && { networkKind }),
    ...(openPort.length > 0 && { openPorts: openPort }),
    ...(minScore !== undefined && { minScore }),
    ...(evidence !== undefined && { evidence }),
    ...(exclude.length > 0 && { exclude }),
    ...(via.length > 0 && { via }),
    ...(failover !== undefined && { failover }),
  };
}

const shieldOf = ({ killSwitch, allowLan, split, dns }: Settings<"connect">) => ({
  ...{ killSwitch: killSwitch === "on", lan: allowLan, split },
  ...(dns !== undefined && { dns }),
});

const where = ({ country, city, peer, hops }: Input<"connect">) =>
  [
    peer !== undefined
      ? `exit ${shortPeer(peer)}`
      : `an exit${[city, country].some(Boolean) ? ` in ${[city, country].filter(Boolean).join(", ")}` : ""}`,
    ...(hops === 2 ? [", and one to go through before it"] : []),
  ].join("");

async function dryRun({ out, interrupts }: Context<"connect">, api: ApiClient, wanted: Input<"connect">, unit: Unit): Promise<void> {
  const { budget, proxy, backend, postQuantum, shield, failover, hops, ...query } = wanted;
  const found = await api.call("find", query, interrupts.signal);
  out.object({ type: "dry-run", ...found, budget });
  out.print(
    facts({
      ...exitFacts(found.exit, unit),
      matching: `${found.matching} exits`,
      "worst cost": `${formatAmount(budget, unit)}, the budget; ${reachText(found.exit, budget)}`,
    }),
  );
}

const exitFacts = (exit: ExitView, unit: Unit) => ({
  exit: exit.peer,
  country: [exit.city, exit.country].filter(Boolean).join(", "),
  service: exit.service,
  price: priceText(exit, unit),
  refuses: exit.policy,
});

/** Each step as it comes. The price and the most that it can cost stand there before anything is paid. */
function tell(out: Output, item: ApiOutput<"connect">, { budget }: Input<"connect">, unit: Unit): void {
  if (item.type === "connected") {
    out.object({ type: "connected", ...item.connection });
    return;
  }
  out.object({ type: "step", ...item.step });
  const [first = "", ...rest] = stepLines(item.step, budget, unit);
  out.progress(`${out.style("green", "✔")} ${first}`);
  for (const line of rest) out.progress(`  ${line}`);
}

/** " (score 0.94, 31 ms)", as far as it is known */
function knownText({ score = 0, rttMs }: ExitView): string {
  const known = [score > 0 && `score ${score.toFixed(2)}`, rttMs !== undefined && `${Math.round(rttMs)} ms`].filter(Boolean);
  return known.length > 0 ? ` (${known.join(", ")})` : "";
}

const keptIn = (killSwitch?: string, outside?: string): string =>
  killSwitch === "off"
    ? `everything${outside === undefined ? "" : `, but to ${outside},`} leaves by it, while it is up`
    : `nothing leaves this machine outside of it${outside === undefined ? "" : `, but to ${outside}`}`;

export function stepLines(step: ConnectStep, budget: bigint, unit: Unit): string[] {
  if (step.step === "found") {
    const { exit, matching } = step;
    return [
      `${matching === 1 ? "1 exit" : `${matching} exits`} found   ${matching === 1 ? "at" : "first"} ${priceText(exit, unit)} in ${exit.country}${knownText(exit)}`,
      `at most ${formatAmount(budget, unit)}, the budget: ${reachText(exit, budget)}`,
    ];
  }
  if (step.step === "agreed") return [`terms agreed   ${priceText(step, unit)}, at most ${roughAmount(step.quantum, unit)} paid ahead`];
  const { socks, http, interface: ifname, address, address6, via, way, presharedKey, killSwitch, outside, hop } = step.endpoint;
  const after = `after ${formatDuration(step.atMs)}`;
  if (hop !== undefined) return [`first tunnel up   ${ifname}  ${address} via ${via}   ${after}`];
  if (ifname !== undefined)
    return [
      `tunnel up   ${ifname}  ${address} via ${via}   ${after}`,
      ...(address6 === undefined ? [] : [`and ${address6}: IPv6 goes by it, too`]),
      ...(way === undefined ? [] : [natTexts[way] ?? way]),
      `${keptIn(killSwitch, outside)}${presharedKey === undefined ? "" : `; keys by X25519 and ${presharedKey.toUpperCase()}`}`,
    ];
  return [
    `proxy up   ${socks}   ${after}`,
    `try it: curl --proxy socks5h://${socks} https://example.com`,
    `    or: curl --proxy http://${http} https://example.com`,
  ];
}

/** How the two ends were brought together, where one is behind NAT. */
const natTexts: Record<string, string> = {
  punched: "straight through the exit's NAT",
  relayed: "through a relay, paid beside the exit: NAT lets no straight way through",
};
