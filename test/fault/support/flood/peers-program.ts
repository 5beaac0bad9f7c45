import { silentLogger } from "../../../../src/lib/ports.ts";
import { floodQuota, networkQuota } from "../../../../src/network/gossip.ts";
import type { Network, Topic } from "../../../../src/network/network.ts";
import { startTrader, type Trader } from "../../../net/discovery/market.ts";
import { answerParent } from "../../../support/forked.ts";
import { dialFrom } from "../own-addresses.ts";
import { echoProtocol, echoQuota, type PeersAnswer, type PeersTask } from "./peers.ts";

type Peer = { trader: Trader; heard: Set<string>; banned: { peer: string; atMs: number }[] };

/** Honest peers of one process, as the product makes them; what they hear, and whom they ban. */
const peers: Peer[] = [];

const boundless = { burst: 1e9, perSecond: 1e9 };

/** For the control: nothing is held against anybody, and nobody is told to be quiet. */
function disarmed(network: Network): Network {
  const subscribe = <T>(topic: Topic<T>) =>
    network.subscribe<T>({
      ...{ ...topic, quota: boundless, maxBytes: 2 ** 20 },
      validate: async (bytes, from) => {
        const judged = await topic.validate(bytes, from);
        return { ...judged, validity: judged.validity === "reject" ? "ignore" : judged.validity };
      },
    });
  return { ...network, subscribe };
}

async function start(ip: string | undefined, bootstrap: string[], isDefended: boolean): Promise<void> {
  const heard = new Set<string>();
  const banned: Peer["banned"] = [];
  const warn = (message: string, fields: Record<string, unknown> = {}) => {
    if (message === "peer banned") banned.push({ peer: String(fields.peer), atMs: Date.now() });
  };
  const trader = await startTrader({
    ...{ bootstrap, sources: ["gossip"], log: { ...silentLogger, warn } },
    ...(ip !== undefined && { listen: [`/ip4/${ip}/tcp/4001`] }),
    ...(isDefended ? {} : { around: disarmed }),
  });
  trader.discovery.onOffer(({ offer }) => heard.add(offer.peer));
  await trader.network.answer(echoProtocol, { maxQuestion: 64, maxAnswer: 64, quota: echoQuota }, async (question) => question);
  peers.push({ trader, heard, banned });
}

answerParent<PeersTask, PeersAnswer>(async (task) => {
  if (task.type === "start") {
    if (!task.isDefended) for (const quota of [floodQuota, networkQuota]) Object.assign(quota, boundless);
    const ips = task.ips.filter((ip) => ip !== undefined);
    if (ips.length > 0) dialFrom(ips);
    for (const ip of task.ips) await start(ip, task.bootstrap, task.isDefended);
  }
  if (task.type === "publish") {
    const { trader } = peers[task.from % peers.length] as Peer;
    await trader.network.publish("offers", task.bytes);
  }
  const { user, system } = process.cpuUsage();
  return {
    cpuMs: (user + system) / 1000,
    peers: peers.map(({ trader, heard, banned }) => ({
      ...{ peer: trader.network.peerId, address: String(trader.network.addresses()[0]), heard: [...heard], banned },
      connected: trader.network.peers().map(({ peer }) => peer),
    })),
  };
});
