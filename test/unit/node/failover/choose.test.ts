import assert from "node:assert/strict";
import type { Hex } from "../../../../src/lib/codec.ts";
import { type Avoided, firstsFor, isNear, standbys, successors } from "../../../../src/node/failover/choose.ts";
import { describe } from "../../../support/harness.ts";

const exit = (peer: string, ip: string, country = "US") => ({ peer, address: hexOf(peer), country, addresses: [`/ip4/${ip}/tcp/4480`] });
const hexOf = (text: string): Hex => `0x${Buffer.from(text).toString("hex").padEnd(40, "0")}`;
const current = exit("current", "203.0.1.1");
const near = exit("near", "203.0.2.2");
const far = exit("far", "198.51.100.1");
const abroad = exit("abroad", "192.0.2.1", "DE");
const none: Avoided = new Map();
const peers = (exits: { peer: string }[]) => exits.map(({ peer }) => peer);

describe("node/failover choose: who stands by", (test) => {
  test("of the same country, in another network, in the order given; then what there is", () => {
    assert.deepEqual(peers(standbys([abroad, near, current, far], current, none, 0)), ["far", "near", "abroad"]);
    const further = exit("further", "198.18.0.1");
    assert.deepEqual(peers(standbys([further, far], current, none, 0)), ["further", "far"]);
  });

  test("of another owner, where there is a choice: it matters less than the network, which nobody can make up", () => {
    const wallet = hexOf("wallet");
    const owned = { ...current, owner: wallet };
    const sister = { ...far, peer: "sister", address: hexOf("sister"), owner: wallet };
    assert.deepEqual(peers(standbys([sister, near, far], owned, none, 0)), ["far", "sister", "near"]);
    assert.deepEqual(peers(standbys([sister, far], current, none, 0)), ["sister", "far"]);
    // money that goes to the exit of now itself
    assert.deepEqual(peers(standbys([{ ...sister, owner: current.address }, far], current, none, 0)), ["far", "sister"]);
  });

  test("a /16 is a network, and so is a /32 of IPv6; what has no address, or only this machine's, is near to nothing", () => {
    assert.ok(isNear(current, near) && !isNear(current, far));
    const six = (ip: string) => ({ ...current, peer: "6", addresses: [`/ip6/${ip}/tcp/1`] });
    assert.ok(isNear(six("2001:db8:1::1"), six("2001:db8:2::1")) && !isNear(six("2001:db8::1"), six("2001:db9::1")));
    assert.ok(!isNear(exit("a", "127.0.0.1"), exit("b", "127.0.0.1")));
    assert.ok(!isNear({ ...current, addresses: [] }, current));
  });

  test("who was no use a moment ago comes last, and who cheated never", () => {
    const avoided = new Map([
      ["far", 1_000],
      ["near", Number.POSITIVE_INFINITY],
    ]);
    assert.deepEqual(peers(standbys([far, near, abroad], current, avoided, 999)), ["abroad", "far"]);
    assert.deepEqual(peers(standbys([far, near, abroad], current, avoided, 1_000)), ["far", "abroad"]);
  });
});

describe("node/failover choose: who may be the first of two hops", (test) => {
  test("another exit, in another network and of another owner, or none", () => {
    assert.deepEqual(peers(firstsFor([near, current, abroad, far], current, none, 0)), ["abroad", "far"]);
    const owned = { ...current, owner: hexOf("wallet") };
    const sister = { ...far, peer: "sister", owner: hexOf("wallet") };
    const system = { ...current, asn: 64_500 };
    assert.deepEqual(firstsFor([sister, near], owned, none, 0), []);
    assert.deepEqual(firstsFor([{ ...far, owner: current.address }], current, none, 0), []);
    assert.deepEqual(firstsFor([{ ...far, asn: 64_500 }], system, none, 0), []);
  });

  test("who was no use a moment ago comes last, and who cheated never", () => {
    const avoided = new Map([
      ["far", 1_000],
      ["abroad", Number.POSITIVE_INFINITY],
    ]);
    const further = exit("further", "198.18.0.1");
    assert.deepEqual(peers(firstsFor([far, abroad, further], current, avoided, 999)), ["further", "far"]);
    assert.deepEqual(peers(firstsFor([far, abroad, further], current, avoided, 1_000)), ["far", "further"]);
  });
});

describe("node/failover choose: who is tried", (test) => {
  const looking = { current, standby: near, avoided: none, nowMs: 0, first: "other" as const, mode: "any" as const };

  test("the standby, the others, and the one that was left at last; or that first, where it has begun anew", () => {
    assert.deepEqual(peers(successors([current, far, near, abroad], looking)), ["near", "far", "abroad", "current"]);
    assert.deepEqual(peers(successors([far, near], { ...looking, first: "same" })), ["current", "near", "far"]);
  });

  test("nobody else where one was named, with what it offers now", () => {
    const offered = { ...current, addresses: ["/ip4/203.0.1.9/tcp/1"] };
    assert.deepEqual(successors([far, offered], { ...looking, mode: "same" }), [offered]);
    assert.deepEqual(successors([far], { ...looking, mode: "same" }), [current]);
  });

  test("never again who cheated, although nobody else is left", () => {
    const avoided = new Map([["current", Number.POSITIVE_INFINITY]]);
    assert.deepEqual(successors([current], { ...looking, standby: undefined, avoided }), []);
    assert.deepEqual(successors([current], { ...looking, mode: "same", avoided }), []);
  });
});
