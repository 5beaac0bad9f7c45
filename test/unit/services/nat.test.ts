import assert from "node:assert/strict";
import { type Nat, natOf, nats, type Place, type Way, wayBetween } from "../../../src/services/nat.ts";
import { describe } from "../../support/harness.ts";

const own = { addresses: ["192.168.7.2", "198.51.100.7"], port: 51_820 };
const at = (text: string): Place => {
  const [address = "", port] = text.split(":");
  return { address, port: Number(port) };
};

describe("relay/nat: what two peers see of a socket", (test) => {
  const kinds: [seen: string[], nat: Nat][] = [
    [["198.51.100.7:51820", "198.51.100.7:51820"], "none"],
    [["198.51.100.7:51820"], "none"],
    [["203.0.113.9:51820", "203.0.113.9:51820"], "cone"],
    [["198.51.100.7:40000", "198.51.100.7:40000"], "cone"],
    [["203.0.113.9:51820", "203.0.113.9:51821"], "symmetric"],
    [["203.0.113.9:51820", "203.0.113.8:51820"], "symmetric"],
    [["198.51.100.7:51820", "198.51.100.7:51821"], "symmetric"],
    [["203.0.113.9:51820"], "unknown"],
    [[], "unknown"],
  ];
  for (const [seen, nat] of kinds) test(`${seen.join(" and ") || "nothing"}: ${nat}`, () => assert.equal(natOf(seen.map(at), own), nat));
});

describe("relay/nat: how two meet", (test) => {
  const ways: Record<Nat, Record<Nat, Way>> = {
    none: { none: "direct", cone: "direct", symmetric: "direct", unknown: "direct" },
    cone: { none: "direct", cone: "punch", symmetric: "punch", unknown: "punch" },
    symmetric: { none: "direct", cone: "punch", symmetric: "relay", unknown: "punch" },
    unknown: { none: "direct", cone: "punch", symmetric: "punch", unknown: "punch" },
  };
  for (const one of nats)
    for (const other of nats)
      test(`${one} and ${other}: ${ways[one][other]}`, () => assert.equal(wayBetween(one, other), ways[one][other]));
});
