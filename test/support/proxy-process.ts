import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { createProxyConsumer } from "../../src/services/proxy/consumer.ts";
import { createProxyProvider } from "../../src/services/proxy/provider.ts";
import { startPeer } from "../net/support.ts";

/**
 * One side of a proxy in a process of its own, for measurements: forked with "exit" or "consumer", told what to do by messages,
 * and over when its parent is.
 */
export type ToPeer = { admit: string } | { use: string; addresses: string[] };
export type FromPeer = { peer: string; addresses: string[] } | { admitted: true } | { socks: string };

const sessionId = "ab".repeat(16);
const say = (message: FromPeer) => process.send?.(message);
const deps = { log: silentLogger, clock: systemClock };

if (process.send) {
  const isExit = process.argv[2] === "exit";
  const { network, ...peer } = await startPeer({ gossip: false, dht: false, ...(!isExit && { listen: [] }) });
  process.on("message", async (message: ToPeer) => {
    if ("admit" in message) {
      const provider = createProxyProvider({ network, ...deps }, { allow: ["127.0.0.0/8"], block: [] });
      const grant = await provider.admit({ sessionId, peer: message.admit });
      grant.allow(2n ** 60n);
      say({ admitted: true });
    } else {
      await network.connect(message.use, message.addresses, AbortSignal.timeout(10_000));
      const consumer = createProxyConsumer({ network, ...deps }, { listen: "127.0.0.1:0" });
      const opening = { sessionId, peer: message.use, connection: {}, onUsage: () => undefined, signal: new AbortController().signal };
      const { endpoint } = await consumer.open(opening);
      say({ socks: endpoint.socks ?? "" });
    }
  });
  process.on("disconnect", async () => {
    await peer[Symbol.asyncDispose]();
    process.exit(0);
  });
  process.on("SIGINT", () => undefined);
  say({ peer: network.peerId, addresses: network.addresses() });
}
