import assert from "node:assert/strict";
import { apart, isLoopback, lineOf, networkOf, roomInTable } from "../../../src/network/diversity.ts";
import { describe } from "../../support/harness.ts";

const at = (...ips: string[]) => ({ addresses: ips.map((ip) => `/${ip.includes(":") ? "ip6" : "ip4"}/${ip}/tcp/4010`) });

describe("network/diversity", (test) => {
  test("a network is a /24 or a /48; loopback and names are in none", () => {
    assert.equal(networkOf("/ip4/198.51.100.7/tcp/1"), networkOf("/ip4/198.51.100.200/tcp/2/p2p/x"));
    assert.notEqual(networkOf("/ip4/198.51.100.7/tcp/1"), networkOf("/ip4/198.51.101.7/tcp/1"));
    assert.equal(networkOf("/ip6/2001:db8:1:2::1/tcp/1"), networkOf("/ip6/2001:db8:1:ffff::9/tcp/1"));
    assert.notEqual(networkOf("/ip6/2001:db8:1::1/tcp/1"), networkOf("/ip6/2001:db8:2::1/tcp/1"));
    assert.equal(networkOf("/ip6/::ffff:198.51.100.7/tcp/1"), networkOf("/ip4/198.51.100.1/tcp/1"));
    for (const none of ["/ip4/127.0.0.1/tcp/1", "/ip4/127.9.8.7/tcp/1", "/ip6/::1/tcp/1", "/dns4/example.org/tcp/1", "nonsense", ""])
      assert.equal(networkOf(none), undefined, none);
    assert.equal(isLoopback("/ip4/127.9.8.7/tcp/1"), true);
    assert.equal(isLoopback("/dns4/localhost/tcp/1"), false);
    assert.equal(isLoopback("/ip4/0.0.0.0/tcp/1"), false);
  });

  test("a line is an IPv4 address or a /64", () => {
    assert.equal(lineOf("/ip4/198.51.100.7/tcp/1"), "198.51.100.7");
    assert.equal(lineOf("/ip6/::ffff:198.51.100.7/tcp/1"), "198.51.100.7");
    assert.equal(lineOf("/ip6/2001:db8:0:7::1/tcp/1"), lineOf("/ip6/2001:db8:0:7:9::2/tcp/3"));
    assert.notEqual(lineOf("/ip6/2001:db8:0:7::1/tcp/1"), lineOf("/ip6/2001:db8:0:8::1/tcp/1"));
    assert.equal(lineOf("/ip6/::1/tcp/1"), undefined);
  });

  test("two of a network in a bucket, three in the table", () => {
    const other = at("203.0.113.1");
    const near = (last: number) => at(`198.51.100.${last}`);
    assert.equal(roomInTable(near(9), [near(1), other], [near(1), other]), true);
    assert.equal(roomInTable(near(9), [near(1), near(2)], [near(1), near(2)]), false);
    assert.equal(roomInTable(near(9), [near(1)], [near(1), near(2)]), true);
    assert.equal(roomInTable(near(9), [], [near(1), near(2), near(3)]), false);
    assert.equal(roomInTable(at("192.0.2.1"), [near(1), near(2)], [near(1), near(2), near(3)]), true);
  });

  test("one address in a full network is enough; on loopback there is always room", () => {
    const full = [at("198.51.100.1"), at("198.51.100.2")];
    assert.equal(roomInTable(at("192.0.2.1", "198.51.100.3"), full, full), false);
    const local = Array.from({ length: 50 }, () => at("127.0.0.1"));
    assert.equal(roomInTable(at("127.0.0.1"), local, local), true);
  });

  test("of a list so many of one network stay where they are, the others come last; nothing is lost", () => {
    const list = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "127.0.0.1", "127.0.0.1", "192.0.2.4"];
    const ordered = apart(list, (ip) => at(ip).addresses, 2);
    assert.deepEqual(ordered, ["192.0.2.1", "192.0.2.2", "198.51.100.1", "127.0.0.1", "127.0.0.1", "192.0.2.3", "192.0.2.4"]);
  });
});
