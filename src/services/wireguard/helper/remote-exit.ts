import { MystError } from "../../../lib/errors.ts";
import type { Credit, ExitConfig, ExitTunnel, PeerStats, WgKey } from "../types.ts";
import type { Calls } from "./calls.ts";
import { batchMax, results } from "./protocol.ts";

const none: PeerStats = { rxBytes: 0n, txBytes: 0n, handshakeMs: 0 };

/** The node's view of an exit that the helper holds: counters are what it told last. */
export async function exitTunnel(calls: Calls, config: ExitConfig): Promise<ExitTunnel> {
  const opened = await calls.ask({ op: "openExit", config: pick(config) }, results.openExit);
  const counters = new Map<WgKey, PeerStats>();
  const callbacks: (() => void)[] = [];
  let credits = new Map<WgKey, Credit>();

  calls.on((event) => {
    if (event.event !== "exitCounters") return;
    for (const [key, rx, tx, handshakeMs] of event.counts)
      if (counters.has(key)) counters.set(key, { rxBytes: BigInt(rx), txBytes: BigInt(tx), handshakeMs });
    for (const callback of callbacks) callback();
  });
  const tell = () => {
    const all = [...credits];
    credits = new Map();
    for (let i = 0; i < all.length; i += batchMax)
      calls.tell({
        op: "credit",
        credits: all
          .slice(i, i + batchMax)
          .map(([key, { totalBytes, forMs }]) => [key, String(totalBytes), Math.min(Math.max(0, forMs), 2 ** 31)]),
      });
  };
  return {
    ...opened,
    admit: async ({ publicKey, presharedKey }) => {
      counters.set(publicKey, none);
      try {
        return await calls.ask({ op: "admit", publicKey, ...(presharedKey && { presharedKey }) }, results.admit);
      } catch (error) {
        // a key that is there already keeps its counters
        if (!(error instanceof MystError && error.code === "PEER_REFUSED")) counters.delete(publicKey);
        throw error;
      }
    },
    credit: (key, credit) => {
      if (credits.size === 0) setImmediate(tell);
      credits.set(key, credit);
    },
    counters: (key) => counters.get(key) ?? none,
    dismiss: async (key) => {
      const { rx, tx, handshakeMs } = await calls.ask({ op: "dismiss", publicKey: key }, results.dismiss);
      counters.delete(key);
      return { rxBytes: BigInt(rx), txBytes: BigInt(tx), handshakeMs };
    },
    greet: async (greeting) => {
      await calls.ask({ op: "greetFromExit", greeting }, results.done);
    },
    reach: async (publicKey, place) => {
      await calls.ask({ op: "reach", publicKey, ...(place && { place }) }, results.done);
    },
    onCounters: (callback) => callbacks.push(callback),
    close: async () => {
      await calls.ask({ op: "closeExit" }, results.done);
    },
  };
}

/** the fields that there are: the helper takes no others */
const pick = ({ backend, listenPort, mtu, egressIf, egressAddress, allow, block, closedPorts, speed, flowLimit, ipv6 }: ExitConfig) => {
  if (backend === "fake") throw new MystError("BAD_VALUE", "the helper has no such backend");
  return {
    ...(backend && { backend }),
    listenPort,
    mtu,
    ...(egressIf && { egressIf }),
    ...(egressAddress && { egressAddress }),
    allow,
    block,
    ...(closedPorts && { closedPorts }),
    ...(speed && { speed }),
    ...(flowLimit && { flowLimit }),
    ...(ipv6 && { ipv6 }),
  };
};
