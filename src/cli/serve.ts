import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { formatAmount, formatBytes, formatDuration, type Unit } from "../lib/units.ts";
import type { NodeOptions, NodeStatus, ServeOptions, ServeService, SessionView } from "../node/types.ts";
import type { Settings } from "../options.ts";
import type { Context, Run } from "./context.ts";
import { facts } from "./format.ts";
import { chooseNetwork, countryOptions, type Host, hostNode } from "./hosting.ts";
import { mayOpenTunnels } from "./privileges.ts";
import { defaultText, type SoldKind, servicesToSell } from "./services.ts";
import { chainText } from "./status.ts";
import { capText, mappingText, percentText, priceText, roughAmount, speedText, tunnelText } from "./texts.ts";

const redrawMs = 1000;

const defaultWatchFeeBps = 200;
const balanceMs = 3_000;

/** Runs an exit, or with --service none a peer that only helps, until told to stop. */
export const serve: Run<"serve"> = async (context) => {
  const { settings, out, interrupts } = context;
  const network = await chooseNetwork(settings);
  const services = servicesToSell(settings.service, mayOpenTunnels());
  const options = serveOptions(settings, services, network.token);
  if (settings.service.length === 0) for (const kind of services) out.progress(defaultText(kind));
  const { listen, bootstrap, discovery, mdns, shareRecords } = settings;
  const tunnel = services.includes("wireguard");
  const joining = {
    ...countryOptions(settings),
    listen,
    bootstrap,
    relay: relayUse(settings),
    mdns: mdns === "on",
    shareRecords: shareRecords === "on",
    ...(discovery.length > 0 && { discovery }),
  };
  await using host = await hostNode(context, network, { ...joining, tunnel });
  await interrupts.race(host.node.serve(options));
  const status = await host.node.status();
  out.object({ type: "serving", ...status });
  const isPoor = options.watch !== undefined && (await hasNoGas(host));
  out.print(facts(servingFacts(status, settings, options, network, isPoor)));
  out.progress("Serving. Ctrl-C stops.");
  await Promise.race([follow(context, host, network.token, options.maxSessions), broken(host)]);
  out.endLive();
  out.progress("ending sessions and clearing what is owed");
  return interrupts.status();
};

/** Whether it is known that there is nothing to pay for a transaction with. */
const hasNoGas = async ({ node }: Host): Promise<boolean> => {
  const asked = within(node.wallet.balances(node.address), balanceMs, "RPC_UNREACHABLE", "reading the wallet");
  const { gas } = await asked.catch(() => ({ gas: undefined }));
  return gas === 0n;
};

/** @throws USAGE without a country, for a fee on what is not done, and for a speed of what has none */
export function serveOptions(settings: Settings<"serve">, kinds: SoldKind[], unit: Unit): ServeOptions {
  const { country = "", city, networkKind, allow, block, closedPorts, maxSessions, payout } = settings;
  const { egressAddress, egressIf, endpoint, backend, listenPort, flowLimit, allowPayer, blockPayer } = settings;
  const { monthlyCap, schedule, ipv6 } = settings;
  if ((kinds.length > 0 || settings.watch) && country === "")
    throw new MystError("USAGE", "an offer names the country that the exit is in", { hint: "add --country, for example --country DE" });
  if (settings.watchFee !== undefined && !settings.watch)
    throw new MystError("USAGE", "--watch-fee is for a node that clears for others, and this one does not", { hint: "add --watch" });
  if (ipv6 && !kinds.includes("wireguard"))
    throw new MystError("USAGE", "--ipv6 is for the tunnel, which this exit does not sell", {
      hint: "add --service wireguard, or leave it out",
    });
  const speed = speedOf(settings);
  const ofKind = (kind: SoldKind): ServeService => {
    if (kind === "wireguard") return { kind, ...sold, ...tunnel };
    if (kind === "proxy") return { kind, ...sold };
    return { kind, perGiB: sold.perGiB, perHour: sold.perHour, allow: [], block: [], port: settings.relayPort };
  };
  if (speed && kinds.some((kind) => kind !== "wireguard"))
    throw new MystError("USAGE", "speed limits are kept by the kernel, of what it carries: not of the proxy", {
      hint: "add --service wireguard, or leave them out",
    });
  const sold = {
    perGiB: settings.priceGib(unit),
    perHour: settings.priceHour(unit),
    allow,
    block,
    closedPorts,
    ...(speed && { speed }),
    ...(egressAddress !== undefined && { egressAddress }),
  };
  const tunnel = {
    listenPort,
    flowLimit,
    ...(ipv6 && { ipv6 }),
    ...(backend !== undefined && { backend }),
    ...(endpoint !== undefined && { endpoint }),
    ...(egressIf !== undefined && { egressIf }),
  };
  return {
    country,
    networkKind,
    services: kinds.map(ofKind),
    maxSessions,
    settleAt: settings.settleAt(unit),
    ...(settings.watch && { watch: { feeBps: settings.watchFee ?? defaultWatchFeeBps } }),
    maxWatchFeeBps: settings.watchMaxFee,
    upnp: settings.upnp === "on",
    ...(monthlyCap !== undefined && { monthlyCap }),
    ...(schedule.length > 0 && { schedule: schedule.flat() }),
    ...(city !== undefined && { city }),
    ...(payout !== undefined && { payout }),
    ...(allowPayer.length > 0 && { allowPayers: allowPayer }),
    ...(blockPayer.length > 0 && { blockPayers: blockPayer }),
  };
}

const speedOf = ({ speedLimit: perClient, speedLimitAll: whole }: Settings<"serve">): ServeService["speed"] =>
  perClient === undefined && whole === undefined
    ? undefined
    : { ...(perClient !== undefined && { perClient }), ...(whole !== undefined && { whole }) };

/** @throws USAGE for limits of a relay that is none */
export function relayUse({ relay, relayData, relayTime }: Settings<"serve">): NonNullable<NodeOptions["relay"]> {
  if (relay === "offer")
    return { ...(relayData !== undefined && { dataLimit: relayData }), ...(relayTime !== undefined && { timeLimitMs: relayTime }) };
  if (relayData !== undefined || relayTime !== undefined)
    throw new MystError("USAGE", "--relay-data and --relay-time say what a relay carries", { hint: "add --relay offer" });
  return relay;
}

/** What a relay carries for others, for people. */
function relayText({ relay, relayData, relayTime }: Settings<"serve">): string | undefined {
  if (relay !== "offer") return undefined;
  const limits = [relayData !== undefined && formatBytes(relayData), relayTime !== undefined && formatDuration(relayTime)].filter(Boolean);
  return `for peers without a public address, unpaid, ${limits.length > 0 ? `${limits.join(" and ")} for each connection` : "without limits"}`;
}

function servingFacts(status: NodeStatus, settings: Settings<"serve">, options: ServeOptions, network: NetworkConfig, isPoor: boolean) {
  const unit = network.token;
  const [address] = status.addresses;
  const sold = status.serving?.services ?? [];
  const [service] = sold;
  return {
    peer: status.peer,
    address: status.address,
    network: status.network,
    listening: status.addresses,
    relay: relayText(settings),
    selling: service ? sold.map((one) => `${one.kind} in ${options.country} at ${priceText(one, unit)}`) : "nothing, it helps the network",
    watching: options.watch && [
      `exits that are away, for ${percentText(options.watch.feeBps)} of what it clears for them`,
      ...(isPoor ? [`but cannot clear: send ${status.address} some of the chain's coin for fees`] : []),
    ],
    router: status.serving?.mapping && mappingText(status.serving.mapping),
    tunnel: sold.flatMap((one) => (one.kind === "wireguard" ? tunnelText(one) : [])),
    heard: status.announcing === "unbonded" ? `not without a bond: ${bondText(network)}` : undefined,
    policy: service && [
      "no private or local networks",
      service.closedPorts?.length === 0 ? "all ports" : `no ports ${service.closedPorts?.join(", ") ?? "of mail"}`,
      ...service.allow.map((destination) => `except ${destination}`),
      ...service.block.map((destination) => `nor ${destination}`),
    ],
    speed: service && speedText(service),
    cap: status.serving && capText(status.serving),
    closed: status.serving?.closed,
    payers: service && [
      ...(options.allowPayers ?? []).map((payer) => `${payer} and no other that is not named here`),
      ...(options.blockPayers ?? []).map((payer) => `never ${payer}`),
    ],
    payout: service && (options.payout ?? status.address),
    chain: status.chain.problem === undefined ? undefined : `${chainText(status.chain)}; it clears later`,
    join: address && `mystnode connect --network ${settings.network ?? "FILE"} --bootstrap ${address}`,
  };
}

const bondText = ({ minDeposit, minBond, token }: NetworkConfig): string =>
  `run 'mystnode wallet deposit ${formatAmount(minDeposit, token).replace(" ", "").toLowerCase()}', which adds the ${formatAmount(minBond, token)} of bond`;

const total = (sessions: SessionView[], pick: (session: SessionView) => bigint) => sessions.reduce((sum, one) => sum + pick(one), 0n);

export function servingLine(sessions: SessionView[], open: number, max: number, unit: Unit): string {
  const earned = roughAmount(
    total(sessions, ({ promised }) => promised),
    unit,
  );
  const cleared = roughAmount(
    total(sessions, (session) => session.cleared ?? 0n),
    unit,
  );
  const carried = formatBytes(total(sessions, ({ usedBytes }) => usedBytes));
  return `${open} of ${max} sessions   ⇅ ${carried}   earned ${earned}   cleared ${cleared}`;
}

/** Rejects when what is sold has gone. */
const broken = ({ node }: Host) =>
  new Promise<never>((_, reject) => {
    node.events.on((event) => {
      if (event.type === "warning" && event.code === "TUNNEL_FAILED") reject(new MystError("TUNNEL_FAILED", event.message));
    });
  });

/** Until the process is asked to stop: the relays that it is reached through as they come and go; on a terminal sessions and earnings of this run. */
async function follow({ out, interrupts }: Context<"serve">, { node }: Host, unit: Unit, max: number): Promise<void> {
  const startedMs = Date.now();
  let told = "";
  const before = (await node.status()).serving;
  let closed = before?.closed;
  let mapping = before?.mapping && mappingText(before.mapping);
  while (!interrupts.signal.aborted) {
    const { serving, addresses } = await node.status();
    const relayed = addresses.filter((address) => address.includes("/p2p-circuit/"));
    if (relayed.join() !== told) {
      out.endLive();
      out.progress(relayed.length > 0 ? `reached through a relay at ${relayed.join(" ")}` : "no relay reaches this peer any more");
      told = relayed.join();
    }
    const mapped = serving?.mapping && mappingText(serving.mapping);
    if (mapped !== undefined && mapped !== mapping) {
      out.endLive();
      out.progress(`router: ${mapped}`);
      mapping = mapped;
    }
    if (serving?.closed !== closed) {
      closed = serving?.closed;
      out.endLive();
      out.progress(closed ?? "this exit serves again");
    }
    if (out.interactive) {
      const sessions = (await node.sessions()).filter((one) => one.role === "provider" && one.startedMs >= startedMs);
      out.live(servingLine(sessions, serving?.sessions ?? 0, max, unit));
    }
    await wait(redrawMs, undefined, { signal: interrupts.signal }).catch(() => undefined);
  }
}
