import { describe } from "../support/harness.ts";
import { proxySuite } from "../support/proxy-suite.ts";
import { soon, startPeer } from "./support.ts";

describe("services/proxy: over libp2p", (test) => {
  const makePair = async () => {
    const exit = await startPeer({ gossip: false, dht: false });
    const consumer = await startPeer({ gossip: false, dht: false, listen: [] });
    await consumer.network.connect(exit.network.peerId, exit.network.addresses(), soon());
    return {
      consumer: consumer.network,
      exit: exit.network,
      consumerPeer: consumer.network.peerId,
      exitPeer: exit.network.peerId,
      [Symbol.asyncDispose]: async () => {
        await consumer[Symbol.asyncDispose]();
        await exit[Symbol.asyncDispose]();
      },
    };
  };
  proxySuite(test, makePair, { megabytes: 32 });
});
