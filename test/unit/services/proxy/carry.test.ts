import { networkPair } from "../../../support/byte-pipe.ts";
import { describe } from "../../../support/harness.ts";
import { proxySuite } from "../../../support/proxy-suite.ts";

describe("services/proxy: over streams in memory", (test) => {
  const makePair = async () => {
    const [consumer, exit] = networkPair("consumer", "exit");
    return { consumer, exit, consumerPeer: "consumer", exitPeer: "exit", [Symbol.asyncDispose]: async () => undefined };
  };
  proxySuite(test, makePair, { megabytes: 2 });
});
