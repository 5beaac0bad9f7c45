import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { signHandover } from "../../../src/identity/handover.ts";
import { createIdentity } from "../../../src/identity/identity.ts";
import { describe } from "../../support/harness.ts";
import { isConnected, soon, until } from "../support.ts";
import { content, networkConfig, startTrader } from "./market.ts";

describe("discovery: an exit that goes on under another key", (test) => {
  test(
    "is known by its old name, asked for by it, and found where it was; whoever has the old key is refused by those who saw",
    async () => {
      const [old, next] = [createIdentity(randomBytes(32)), createIdentity(randomBytes(32))];
      await using boot = await startTrader();
      const bootstrap = boot.network.addresses();
      const before = await startTrader({ identity: old, bootstrap });
      const listen = [String(before.network.addresses()[0]).replace(/\/p2p\/.*/, "")];
      await before.discovery.announce(content("DE"));
      await using consumer = await startTrader({ listen: [], bootstrap });
      await until("it is known", () => [boot, consumer].every(({ discovery }) => discovery.offers().length === 1));
      await before[Symbol.asyncDispose]();

      const handover = signHandover(old, next, networkConfig, Date.now());
      await using after = await startTrader({ identity: next, listen, bootstrap, ownHandovers: [handover] });
      await after.discovery.announce(content("DE", 7n));
      await until("those who knew it know", () =>
        [boot, consumer].every(({ discovery }) => discovery.handovers.current(old.peerId) === next.peerId),
      );
      const [found] = await consumer.discovery.search({ peer: old.peerId }, soon());
      assert.equal(found?.offer.peer, next.peerId);
      assert.equal(consumer.discovery.offers({ exclude: [old.peerId] }).length, 0);
      assert.deepEqual(consumer.discovery.handovers.before(next.address), [old.address]);

      await using thief = await startTrader({ identity: old, bootstrap });
      await thief.discovery.announce(content("DE", 1n));
      await new Promise((resolve) => setTimeout(resolve, 3000));
      assert.equal(isConnected(boot, thief), false);
      assert.ok([boot, consumer].every(({ discovery }) => discovery.offers().every(({ offer }) => offer.peer === next.peerId)));
    },
    { timeoutMs: 90_000 },
  );
});
