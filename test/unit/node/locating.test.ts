import assert from "node:assert/strict";
import { apartKm } from "../../../src/country/distance.ts";
import type { PeerSummary } from "../../../src/network/network.ts";
import { createLocating } from "../../../src/node/locating.ts";
import { describe } from "../../support/harness.ts";

/** Every address of 45.1.0.0/16 is in the Netherlands, all others are in Germany. */
const locate = (address: string) => [{ database: "a.mmdb", address, country: address.startsWith("45.1.") ? "NL" : "DE" }];
const databases = { names: ["a.mmdb"], locate, asnOf: () => undefined };
const at = (ip: string) => `/ip4/${ip}/tcp/4480`;
const exit = { peer: "exit", country: "NL", addresses: [at("45.1.1.1")] };
type Known = { peers?: Partial<PeerSummary>[]; here?: string; addresses?: string[]; egress?: string; told?: string };
const of = ({ peers = [], here, addresses = exit.addresses, egress, told }: Known = {}) => {
  const seen = { of: () => (egress === undefined ? undefined : { address: egress, observers: 3, atMs: 1 }) };
  const connected = peers.map((one) => ({ peer: "exit", addresses: [at("45.1.1.1")], direction: "outbound" as const, ...one }));
  return createLocating({ network: { peers: () => connected }, databases, seen, here: () => here }).of({ ...exit, addresses }, told);
};

describe("node/locating", (test) => {
  test("an exit that was reached is where it was reached, whatever else it says of itself", () => {
    assert.equal(of().state, "database");
    assert.equal(of({ addresses: [at("45.1.1.1"), at("46.2.2.2")] }).state, "claimed");
    assert.equal(of({ addresses: [at("45.1.1.1"), at("46.2.2.2")], peers: [{}] }).state, "database");
    assert.equal(of({ peers: [{ addresses: [at("46.2.2.2")] }] }).refutedBy, "databases");
    // who has come to us may have come from anywhere, a client's tunnel for one
    assert.equal(of({ peers: [{ addresses: [at("46.2.2.2")], direction: "inbound" }] }).state, "database");
  });

  test("where a relay is says nothing, and neither does what is not on the internet", () => {
    for (const address of [`${at("46.2.2.2")}/p2p/relay/p2p-circuit`, at("127.0.0.1"), at("192.168.1.1"), "/dns4/example.org/tcp/1"]) {
      const { endpoint, state } = of({ addresses: [address] });
      assert.deepEqual([endpoint, state], [[], "claimed"]);
    }
  });

  test("where its traffic came out counts before its address, and what others saw of that makes it doubtful at most", () => {
    const { refutedBy, seen } = of({ egress: "46.2.2.2" });
    assert.deepEqual([refutedBy, seen?.country, seen?.elsewhere], ["egress", "DE", true]);
    assert.deepEqual([of({ egress: "45.1.9.9" }).state, of({ egress: "45.1.9.9" }).seen?.elsewhere], ["database", false]);
    assert.equal(of({ told: "NL" }).state, "database");
    assert.equal(of({ told: "DE" }).state, "claimed");
    assert.equal(of({ told: "DE", egress: "45.1.9.9" }).state, "database");
  });

  test("the round trip counts where it is known from where, and not within this machine or its network", () => {
    const near = { rttMs: 9 };
    assert.equal(of({ peers: [near], here: "NL" }).state, "latency");
    assert.deepEqual(of({ peers: [near] }).measured, []);
    assert.deepEqual(of({ peers: [{}], here: "NL" }).measured, []);
    const rttMs = (apartKm("NL", "JP") ?? 0) / 100 - 1;
    assert.equal(of({ peers: [{ rttMs }], here: "JP" }).refutedBy, "latency");
    for (const ip of ["127.0.0.1", "10.1.1.1"])
      assert.deepEqual(of({ peers: [{ ...near, addresses: [at(ip)] }], here: "JP" }).measured, []);
  });
});
