import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createIdentity } from "../../../src/identity/identity.ts";
import { mostConnections } from "../../../src/network/crowding.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock, type VirtualClock } from "../../support/simulation/clock.ts";
import { addressOf, createSimNet, type SimNet } from "../../support/simulation/net.ts";
import { memoryStore } from "../discovery/offers.ts";

const startAt = (net: SimNet, index: number, bootstrap: string[]) => {
  const ip = addressOf(index);
  const { peerId } = createIdentity(randomBytes(32));
  return net.start({ peerId, ip, listen: `/ip4/${ip}/tcp/4480`, bootstrap, store: memoryStore() });
};

/** A bootstrap peer that all have dialled, who are more than it keeps. */
async function crowdedNet(clock: VirtualClock, net: SimNet) {
  const boot = await startAt(net, 1, []);
  const invites = [...boot.addresses()];
  for (let index = 2; index <= mostConnections + 50; index += 1) {
    await startAt(net, index, invites);
    await clock.pass(20);
  }
  return { boot, invites };
}

describe("network: a full bootstrap peer", (test) => {
  test("lets a newcomer ask, then makes room again; all come to rest, and dial nobody any more", async () => {
    const clock = createVirtualClock();
    const net = createSimNet(clock);
    const { boot, invites } = await crowdedNet(clock, net);
    await clock.pass(180_000);
    assert.equal(boot.peers().length, mostConnections);
    const restMessages = net.traffic.dials.messages;
    await clock.pass(120_000);
    assert.equal(net.traffic.dials.messages, restMessages, "somebody still dials");
    for (let at = 0; at < 20; at += 1) {
      const newcomer = await startAt(net, 1_000 + at, invites);
      await clock.pass(3_000);
      const has = boot.peers().some(({ peer }) => peer === newcomer.peerId);
      assert.ok(has, "a newcomer was hung up on at once");
      // whoever goes in its place, or it itself, comes back once
      await clock.pass(15_000);
      assert.equal(boot.peers().length, mostConnections);
    }
  });
});
