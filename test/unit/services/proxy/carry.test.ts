import { describe } from "../../../support/harness.ts";
import { inMemory } from "../../../support/proxy-rig.ts";
import { proxySuite } from "../../../support/proxy-suite.ts";

describe("services/proxy: over streams in memory", (test) => {
  proxySuite(test, async () => inMemory(), { megabytes: 2 });
});
