import { type Figure, type Measurement, percentile } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import type { Way } from "../tunnel/support/agent.ts";
import { type Agent, startAgent } from "../tunnel/support/agents.ts";
import type { Host } from "../tunnel/support/internet.ts";
import { openTunnelMarket } from "../tunnel/support/market.ts";
import { openByHand } from "./support/by-hand.ts";
import { cpuMs } from "./support/cpu.ts";
import { measureManyPeers } from "./support/many-peers.ts";

const bytesEach = 32 * 2 ** 20;
const warmUps = 4;
const ways: Way[] = ["down", "up"];
/** one kind of tunnel: who uses it, and on which hosts it costs CPU */
type Side = { user: Agent; hosts: Host[] };
type Found = Record<Way, { mbitPerS: number[]; cpuSPerGB: number[] }>;

const none = (): Found => ({ down: { mbitPerS: [], cpuSPerGB: [] }, up: { mbitPerS: [], cpuSPerGB: [] } });

async function transfer({ user, hosts }: Side, target: string, way: Way, found?: Found): Promise<void> {
  const before = cpuMs(hosts, [user.pid]);
  const { ms } = await user.ask({ do: "transfer", host: target, way, bytes: bytesEach });
  found?.[way].mbitPerS.push((bytesEach * 8) / 1000 / ms);
  found?.[way].cpuSPerGB.push((cpuMs(hosts, [user.pid]) - before) / 1000 / (bytesEach / 1e9));
}

/** by median, both ways alike */
const both = (found: Found, what: "mbitPerS" | "cpuSPerGB"): number =>
  ways.reduce((sum, way) => sum + percentile(found[way][what], 0.5) / ways.length, 0);

/** The median of what each pair says: what slows the machine slows both of a pair. */
const ratio = (ours: Found, theirs: Found, what: "mbitPerS" | "cpuSPerGB"): number =>
  percentile(
    ways.flatMap((way) => ours[way][what].map((value, i) => value / (theirs[way][what][i] ?? Number.NaN))),
    0.5,
  );

const tunnel: Measurement = {
  about: `a paid tunnel beside one set up by hand, both by wireguard-go: ${bytesEach / 2 ** 20} MiB each way; and a thousand peers`,
  runs: 5,
  // the market's own chain and the router's work are done by this process, and no time is measured in it
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    await using market = await openTunnelMarket({ also: ["hand-client", "hand-exit"] });
    const { target, hosts } = market;
    await market.startExit();
    await market.startConsumer();
    const [client, exit] = ["hand-client", "hand-exit"].map((name) => hosts.get(name) as Host) as [Host, Host];
    using _hand = await openByHand(client, exit);
    using handUser = await startAgent(client);
    const hand: Side = { user: handUser, hosts: [client, exit] };
    const ours: Side = { user: market.user, hosts: [market.consumer.host, market.exit.host] };
    const { text: seen } = await market.user.ask({ do: "fetch", host: target.address });
    if (seen !== market.exit.host.address) throw new Error(`the target saw ${seen}`);
    const { backend } = (await market.consumer.api.call("status")).tunnel ?? {};
    log(`both by ${backend}`);
    const [byHand, byUs] = [none(), none()];
    // also until the quantum has grown to what a session of some length has
    for (let i = 0; i < warmUps; i += 1) for (const way of ways) for (const side of [hand, ours]) await transfer(side, target.address, way);
    let done = 0;
    for (; done < runs && !signal.aborted; done += 1) {
      for (const way of ways) {
        await transfer(hand, target.address, way, byHand);
        await transfer(ours, target.address, way, byUs);
      }
      const last = (found: Found) => ways.map((way) => `${way} ${Math.round(found[way].mbitPerS.at(-1) ?? 0)}`).join(", ");
      log(`run ${done + 1}: ${last(byUs)} Mbit/s, by hand ${last(byHand)}`);
    }
    const many = signal.aborted ? [] : await measureManyPeers(log);
    const beside = (what: "mbitPerS" | "cpuSPerGB") => ({ name: "by hand", value: both(byHand, what) });
    const figures: Figure[] = [
      { name: "ratio", value: ratio(byUs, byHand, "mbitPerS"), unit: "of by hand", better: "higher" },
      { name: "cpuRatio", value: ratio(byUs, byHand, "cpuSPerGB"), unit: "of by hand", better: "lower" },
      { name: "mbitPerS", value: both(byUs, "mbitPerS"), unit: "Mbit/s", better: "higher", beside: beside("mbitPerS") },
      { name: "cpuPerGB", value: both(byUs, "cpuSPerGB"), unit: "s/GB", better: "lower", beside: beside("cpuSPerGB") },
      ...many.flatMap(({ kind, addFirst, addLast, pollFew, pollAll }): Figure[] => [
        { name: `${kind}: add 1,000th`, value: addLast, unit: "ms", better: "lower", beside: { name: "1st", value: addFirst } },
        { name: `${kind}: poll 1,000`, value: pollAll, unit: "ms", better: "lower", beside: { name: "20", value: pollFew } },
      ]),
    ];
    return { runs: done, failures: 0, figures, tried: { transfers: 4 * done, backends: many.length } };
  },
};

export default tunnel;
