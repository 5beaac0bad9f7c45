import assert from "node:assert/strict";
import { parsePolicy, summary } from "../../../../src/services/policy.ts";
import { connectionOf, givesIPv6, ipv6Part, readConnection, readRequest, requestOf } from "../../../../src/services/wireguard/handshake.ts";
import { killSwitchPlan } from "../../../../src/services/wireguard/plan/client.ts";
import { exitPlan } from "../../../../src/services/wireguard/plan/exit.ts";
import { address6Of, checkUla, prefixOf } from "../../../../src/services/wireguard/plan/pool6.ts";
import type { TunnelFacts } from "../../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../../support/harness.ts";

const key = Buffer.alloc(32, 7).toString("base64");
const offer = { publicKey: key, port: 51_820, address: "10.182.0.2", dns: "10.182.0.1", mtu: 1420 };
const address6 = "fd12:3456:789a:1::ab6:2";

describe("wireguard: IPv6 for clients", (test) => {
  test("it is asked for and given by fields that who knows nothing of it never sees", () => {
    assert.deepEqual(readRequest(requestOf({ publicKey: key, ipv6: true })), { publicKey: key, ipv6: true });
    assert.deepEqual(Object.keys(requestOf({ publicKey: key })), ["key"]);
    assert.equal(readConnection(connectionOf({ ...offer, address6 })).address6, address6);
    assert.ok(!("address6" in readConnection(connectionOf(offer))));
    for (const ipv6 of [0, 2, "1"]) assert.throws(() => readRequest({ ...requestOf({ publicKey: key }), ipv6 }), { code: "MALFORMED" });
  });

  test("an exit gives none that is somebody's: not of the internet, of a link, of this machine, or IPv4 in another dress", () => {
    for (const bad of [
      "2a10::1",
      "fe80::1",
      "::1",
      "::ffff:10.0.0.1",
      "fc00::1",
      "ff02::1",
      "fd12::1%eth0",
      "fd12::1.2.3.4",
      "10.0.0.1",
      "",
    ])
      assert.throws(() => readConnection(connectionOf({ ...offer, address6: bad })), { code: "MALFORMED" }, bad);
  });

  test("the offer says so in its policy line, as a part of its own", () => {
    const line = summary(parsePolicy({ allow: [], block: [] }));
    assert.ok(!givesIPv6(line) && givesIPv6(`${line}; ${ipv6Part}`));
    assert.ok(!givesIPv6(`no ${ipv6Part}`));
  });

  test("a client's address ends in its IPv4 address, within a /64 of seven random bytes", () => {
    const prefix = prefixOf(Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a, 0x00, 0x01));
    assert.equal(prefix, "fd12:3456:789a:1::");
    assert.equal(address6Of(prefix, "10.182.0.2"), address6);
    assert.equal(checkUla("FD12:3456:789A:0001::AB6:2"), address6);
    assert.throws(() => checkUla("2a10::1"), { code: "BAD_VALUE" });
  });

  test("a client's host uses it only where IPv6's 1,280 bytes pass, and where its kernel has IPv6", () => {
    const plan = (change: Partial<TunnelFacts>, ipv6 = true) => {
      const tunnel = { exit: { address: "13.0.0.5", port: 51_820 }, address: "10.182.0.2", address6, dns: "10.182.0.1", mtu: 1420 };
      const facts = { ifname: "mystc0", uid: 1, control: [], ipv6 };
      return JSON.stringify(killSwitchPlan(facts, { state: "up", tunnel: { ...tunnel, pathMtu: 1280, ...change } }));
    };
    assert.match(plan({}), new RegExp(address6));
    const without = plan({ address6: undefined as never });
    assert.doesNotMatch(without, /fd12|nfproto ipv6/);
    assert.equal(plan({ pathMtu: 1279 }), without.replaceAll("mtu 1280", "mtu 1279"));
    assert.doesNotMatch(plan({ mtu: 1279, pathMtu: 1200 }), /fd12|nfproto ipv6/);
    assert.doesNotMatch(plan({}, false), /fd12|nfproto ipv6/);
  });

  test("an exit that gives none has no word of it in its plan, and drops it", () => {
    const facts = { ifname: "mystn0", pool: "10.182.0.0/29", mtu: 1420, egressIf: "eth0", dnsPort: 1, pathPort: 2, own: ["2a10::1"] };
    const plan = exitPlan({ ...facts, allow: [], block: [], flowLimit: 1, speed: { perClient: 1e6 } });
    assert.doesNotMatch(JSON.stringify(plan), /ip6|fd12|ipv6\/conf/);
    assert.match(plan.nft, /meta nfproto != ipv4 drop/);
  });

  test("where IPv6 leaves by an interface of its own, neither family leaves by the other's", () => {
    const facts = { ifname: "mystn0", pool: "10.182.0.0/29", mtu: 1420, egressIf: "eth0", dnsPort: 1, pathPort: 2, own: [] };
    const ipv6 = { prefix: "fd12:3456:789a:1::", egressIf: "he0", near: [], advertised: false };
    const { nft } = exitPlan({ ...facts, allow: [], block: [], ipv6 });
    assert.match(nft, /meta nfproto ipv4 oifname != "eth0" reject/);
    assert.match(nft, /meta nfproto ipv6 oifname != "he0" reject/);
    assert.match(nft, /oifname "he0" ip6 saddr fd12:3456:789a:1::\/64 masquerade/);
  });
});
