import type { Figure, Measurement, RunOptions } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type Agent, startAgent } from "../tunnel/support/agents.ts";
import type { Host } from "../tunnel/support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../tunnel/support/market.ts";
import { openByHand } from "./support/by-hand.ts";
import { measureManyPeers } from "./support/many-peers.ts";
import { type Keeper, receiveBuffers, withKeeper } from "./support/receive-buffers.ts";
import { both, type Compared, compare, ratio, type Side } from "./support/tunnel-sides.ts";

const MiB = 2 ** 20;
const many = 10;
/** of one client, and of each of many: what takes some seconds, after a first one in which the quantum has grown to what a session of some length has */
const sizes = { one: { bytes: 128 * MiB, warmUps: 1, enoughMs: 150_000 }, many: { bytes: 32 * MiB, warmUps: 1, enoughMs: 200_000 } };

const handNames = Array.from({ length: many }, (_, i) => `hand-client${i + 1}`);
const also = [...handNames, "quick-client", "hand-exit", "tuned-client", "tuned-exit"];

/** Ours, one client and then many, beside tunnels by hand. */
async function measureTunnels(
  market: TunnelMarket,
  buffers: Keeper,
  { runs, log, signal }: RunOptions,
): Promise<{ one: Compared; ten: Compared }> {
  const { hosts, guests, target, exit } = market;
  const hostOf = (name: string) => hosts.get(name) as Host;
  const handExit = hostOf("hand-exit");
  const bare = handNames.map((name) => ({ host: hostOf(name), how: "bare" as const }));
  const quick = { host: hostOf("quick-client"), how: "wg-quick" as const };
  using stack = new DisposableStack();
  stack.use(await openByHand([...bare, quick], handExit));
  const [tunedClient, tunedExit] = [hostOf("tuned-client"), hostOf("tuned-exit")];
  stack.use(await buffers.raised(() => openByHand([{ host: tunedClient, how: "bare" }], tunedExit)));
  const userOn = async (host: Host): Promise<Agent> => stack.use(await startAgent(host));
  const [first, ...others] = guests;
  if (!first) throw new Error("nobody is there");
  const ours = (some: typeof guests): Side => ({
    users: some.map(({ user }) => user),
    hosts: [...some.map(({ node }) => node.host), exit.host],
  });
  const handUsers: Agent[] = [];
  for (const { host } of bare) handUsers.push(await userOn(host));
  const hand = (count: number): Side => ({
    users: handUsers.slice(0, count),
    hosts: [...bare.slice(0, count).map(({ host }) => host), handExit],
  });
  const quickly: Side = { users: [await userOn(quick.host)], hosts: [quick.host, handExit] };
  const tuned: Side = { users: [await userOn(tunedClient)], hosts: [tunedClient, tunedExit] };

  await buffers.raised(() => market.startConsumer(first));
  const { text: seen } = await first.user.ask({ do: "fetch", host: target.address });
  if (seen !== exit.host.address) throw new Error(`the target saw ${seen}`);
  log(`both by ${(await first.node.api.call("status")).tunnel?.backend}`);
  const common = { target: target.address, runs, signal, log };
  const floors = { bare: hand(1), "wg-quick": quickly, ...(buffers.works() && { tuned }) };
  const one = await compare({ ...common, ...sizes.one, ours: ours([first]), floors });
  log(`${many} clients: connecting`);
  await buffers.raised(async () => {
    for (const guest of others) if (!signal.aborted) await market.startConsumer(guest);
  });
  const ten = await compare({ ...common, ...sizes.many, ours: ours(guests), floors: { bare: hand(many) } });
  return { one, ten };
}

const tunnel: Measurement = {
  about: `a paid tunnel beside one set up by hand, ${sizes.one.bytes / MiB} MiB each way; ${many} at once, ${sizes.many.bytes / MiB} MiB each; a thousand peers.
By hand: wireguard-go like ours, MTU 1420, the exit with a masquerade and no other rule; its client bare, by a default route and without any rule (ratio), or by wg-quick (quickRatio).
Ours takes a receive buffer of 4 MiB for its sockets, as it does on a host of its own; tunedRatio is beside one by hand that was given the same`,
  runs: 5,
  // the market's own chain and the router's work are done by this process, and no time is measured in it
  blocksLoop: true,
  run: async (options) => {
    const reason = enterNamespaces(process.argv[1] ?? "", undefined, withKeeper);
    if (reason) throw new Error(reason);
    using buffers = receiveBuffers();
    await using market = await openTunnelMarket({ guests: many, also });
    await buffers.raised(() => market.startExit());
    if (!buffers.works()) options.log("this machine lets nobody raise a receive buffer, as in a container: ours has to do without");
    const { one, ten } = await measureTunnels(market, buffers, options);
    const peers = options.signal.aborted ? [] : await measureManyPeers(options.log);
    const compared = (name: string, { ours, floors }: Compared, ofOne: string, floor: string, what: "mbitPerS" | "cpuSPerGB"): Figure[] => {
      const better = what === "mbitPerS" ? "higher" : "lower";
      const unit = what === "mbitPerS" ? "Mbit/s" : "s/GB";
      const theirs = floors[floor];
      return [
        { name, value: ratio(ours, theirs, what), unit: `of ${floor}`, better },
        ...(ofOne && theirs
          ? [{ name: ofOne, value: both(ours, what), unit, better, beside: { name: floor, value: both(theirs, what) } } as Figure]
          : []),
      ];
    };
    const figures: Figure[] = [
      ...compared("ratio", one, "mbitPerS", "bare", "mbitPerS"),
      ...compared("cpuRatio", one, "cpuPerGB", "bare", "cpuSPerGB"),
      ...compared("quickRatio", one, "", "wg-quick", "mbitPerS"),
      ...compared("quickCpuRatio", one, "", "wg-quick", "cpuSPerGB"),
      ...(buffers.works()
        ? [...compared("tunedRatio", one, "", "tuned", "mbitPerS"), ...compared("tunedCpuRatio", one, "", "tuned", "cpuSPerGB")]
        : []),
      ...compared(`ratio${many}`, ten, `mbitPerS${many}`, "bare", "mbitPerS"),
      ...compared(`cpuRatio${many}`, ten, `cpuPerGB${many}`, "bare", "cpuSPerGB"),
      ...peers.flatMap(({ kind, addFirst, addLast, pollFew, pollAll }): Figure[] => [
        { name: `${kind}: add 1,000th`, value: addLast, unit: "ms", better: "lower", beside: { name: "1st", value: addFirst } },
        { name: `${kind}: poll 1,000`, value: pollAll, unit: "ms", better: "lower", beside: { name: "20", value: pollFew } },
      ]),
    ];
    const transfers = 6 * one.runs + 4 * many * ten.runs;
    return { runs: Math.min(one.runs, ten.runs), failures: 0, figures, tried: { transfers, backends: peers.length } };
  },
};

export default tunnel;
