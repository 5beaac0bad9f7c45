import assert from "node:assert/strict";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { judge, parsePolicy, parseRule, type Refusal, summary } from "../../../src/services/policy.ts";
import { describe } from "../../support/harness.ts";

const nothing = parsePolicy({ allow: [], block: [] });
const verdict = (address: string, port = 443, own: string[] = [], policy = nothing) => judge(policy, own, address, port);
const reason = (address: string, port = 443, own: string[] = [], policy = nothing): Refusal | "ok" => {
  const found = verdict(address, port, own, policy);
  return found.ok ? "ok" : found.reason;
};

/** first, last and one inside of every range that is no public address */
const notPublic = `
0.0.0.0 0.1.2.3 0.255.255.255
10.0.0.0 10.20.30.40 10.255.255.255
100.64.0.0 100.100.100.200 100.127.255.255
127.0.0.0 127.0.0.1 127.1.2.3 127.255.255.255
169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255
172.16.0.0 172.17.0.1 172.31.255.255
192.0.0.0 192.0.0.170 192.0.0.192 192.0.0.255
192.0.2.0 192.0.2.77 192.0.2.255
192.88.99.0 192.88.99.1 192.88.99.255
192.168.0.0 192.168.1.1 192.168.255.255
198.18.0.0 198.18.7.7 198.19.255.255
198.51.100.0 198.51.100.9 198.51.100.255
203.0.113.0 203.0.113.5 203.0.113.255
224.0.0.0 224.0.0.1 239.255.255.250 239.255.255.255
240.0.0.0 250.1.2.3 255.255.255.254 255.255.255.255
:: ::1 ::2 ::ffff
::7f00:1 ::127.0.0.1 ::10.0.0.1 ::808:808
::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::ffff:192.168.1.1 ::ffff:100.64.0.1 ::ffff:0.0.0.0
::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b::192.168.0.1 64:ff9b::100.64.0.1 64:ff9b::224.0.0.1 64:ff9b::0.0.0.0
64:ff9b:1:: 64:ff9b:1::8.8.8.8 64:ff9b:1:ffff:ffff:ffff:ffff:ffff
100:: 100::1 100::ffff:ffff:ffff:ffff
2001:: 2001::1 2001:0:53aa:64c:0:7f:80ff:fffe 2001:0:ffff:ffff:ffff:ffff:ffff:ffff
2001:2:: 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:1f:ffff::1 2001:20::1 2001:2f:ffff::1 2001:30::1 2001:1ff:ffff::1
2001:db8:: 2001:db8::1 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
2002:: 2002:7f00:1::1 2002:7f00:0001:: 2002:a00:1::1 2002:c0a8:101::1 2002:a9fe:a9fe::1 2002:808:808::1 2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff
2620:4f:8000::1 3fff::1 3fff:fff:ffff::1
2606:4700::5efe:10.0.0.1 2606:4700::5efe:a00:1 2606:4700::200:5efe:8.8.8.8
4000::1 5f00::1 5fff::1 8000::1 c000::1 e000::1
fc00:: fc00::1 fd00::1 fd12:3456:789a::1 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
fe80:: fe80::1 fe80::a9fe:a9fe febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff
fec0:: fec0::1 feff::1
ff00:: ff02::1 ff02::fb ff05::2 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
`;

const isPublic = `
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 169.253.255.255 169.255.0.0
172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255
198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
2001:200::1 2001:4860:4860::8888 2400:cb00::1 2606:4700:4700::1111 2620:fe::fe 2a00:1450:4001::1 3ffe::1
64:ff9b::8.8.8.8 64:ff9b::1.1.1.1
`;

const list = (text: string) => text.trim().split(/\s+/);

describe("services/proxy/policy: what is not the public internet", (test) => {
  for (const row of notPublic.trim().split("\n"))
    test(`refuses ${row}`, () => {
      for (const address of list(row)) assert.equal(reason(address), "not a public address", address);
    });

  test("passes public addresses, and says to dial exactly them", () => {
    for (const address of list(isPublic)) {
      const expected = ipaddr.parse(address).toString();
      assert.deepEqual(verdict(address), { ok: true, address: expected }, address);
    }
  });

  test("a mapped address is dialled as the IPv4 address it is", () => {
    assert.deepEqual(verdict("::ffff:8.8.8.8"), { ok: true, address: "8.8.8.8" });
    assert.deepEqual(verdict("0:0:0:0:0:ffff:808:808"), { ok: true, address: "8.8.8.8" });
  });

  test("refuses what is no address: other notations of numbers, zones, names, nothing", () => {
    const texts = [
      "",
      "localhost",
      "127.1",
      "0x7f.0.0.1",
      "0177.0.0.1",
      "2130706433",
      "010.8.8.8",
      "8.8.8.8 ",
      "fe80::1%eth0",
      "8.8.8.8%1",
      "[::1]",
    ];
    for (const text of texts) assert.equal(reason(text), "no address", text);
  });

  test("no IPv4 address gets through mapped, or through NAT64, that does not get through by itself", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const itself = verdict(address).ok;
        assert.equal(verdict(`::ffff:${address}`).ok, itself);
        assert.equal(verdict(`64:ff9b::${address}`).ok, itself);
        assert.equal(verdict(`::${address}`).ok, itself);
        for (const prefix of ["::ffff:0:", "64:ff9b:1::", "2606:4700::5efe:"]) assert.equal(verdict(`${prefix}${address}`).ok, false);
      }),
      { numRuns: 2000 },
    );
  });

  test("whatever passes is global unicast", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const found = verdict(text);
        if (!found.ok) return;
        const first = ipaddr.parse(found.address).toByteArray()[0] ?? 0;
        assert.ok(!found.address.includes(":") || (first & 0xe0) === 0x20 || found.address.startsWith("64:ff9b::"), text);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("services/proxy/policy: ports, the exit itself, the operator's lists", (test) => {
  const policy = (allow: string[], block: string[] = []) => parsePolicy({ allow, block });

  test("mail ports are refused everywhere, other ports are not", () => {
    for (const port of [25, 465, 587]) for (const address of ["8.8.8.8", "2606:4700::1"]) assert.equal(reason(address, port), "mail port");
    for (const port of [1, 22, 53, 80, 143, 443, 993, 2525, 65_535]) assert.equal(reason("8.8.8.8", port), "ok");
  });

  test("the operator says which ports are closed; a rule that names one opens it to what it names", () => {
    const other = parsePolicy({ allow: ["10.1.1.1:6881"], block: [], closedPorts: [6881, 25] });
    assert.equal(reason("8.8.8.8", 6881, [], other), "closed port");
    assert.equal(reason("8.8.8.8", 25, [], other), "mail port");
    assert.equal(reason("8.8.8.8", 587, [], other), "ok");
    assert.equal(reason("10.1.1.1", 6881, [], other), "ok");
    const open = parsePolicy({ allow: [], block: [], closedPorts: [] });
    assert.equal(reason("8.8.8.8", 25, [], open), "ok");
    assert.equal(reason("127.0.0.1", 25, [], open), "not a public address");
    assert.equal(summary(other), "public addresses only; ports closed (25, 6881); 1 excepted");
    assert.equal(summary(open), "public addresses only; all ports");
  });

  test("the exit's own addresses are refused in every form", () => {
    const own = ["8.8.4.4", "2606:4700::9", "not an address"];
    for (const address of ["8.8.4.4", "::ffff:8.8.4.4", "64:ff9b::8.8.4.4", "2606:4700::9", "2606:4700:0:0:0:0:0:9"])
      assert.equal(reason(address, 443, own), "the exit itself", address);
    assert.equal(reason("8.8.4.5", 443, own), "ok");
  });

  test("an allowed address with a port opens this port alone", () => {
    const one = policy(["127.0.0.1:8080", "[::1]:80"]);
    assert.equal(reason("127.0.0.1", 8080, ["127.0.0.1"], one), "ok");
    assert.equal(reason("127.0.0.1", 8081, [], one), "not a public address");
    assert.equal(reason("127.0.0.2", 8080, [], one), "not a public address");
    assert.equal(reason("::1", 80, [], one), "ok");
    assert.equal(reason("::1", 81, [], one), "not a public address");
    assert.equal(reason("::ffff:127.0.0.1", 8080, [], one), "ok");
  });

  test("an allowed range opens all its ports but those of mail; naming the port opens these too", () => {
    const range = policy(["10.0.0.0/8", "fd00::/8"]);
    assert.equal(reason("10.200.3.4", 22, [], range), "ok");
    assert.equal(reason("fd00::7", 22, [], range), "ok");
    assert.equal(reason("11.0.0.1", 22, [], range), "ok");
    assert.equal(reason("10.200.3.4", 25, [], range), "mail port");
    assert.equal(reason("10.200.3.4", 25, [], policy(["10.200.3.4:25"])), "ok");
    assert.equal(reason("64:ff9b::10.0.0.1", 22, [], range), "not a public address");
  });

  test("a blocked destination is refused even where it is allowed, and through NAT64", () => {
    const both = policy(["8.8.8.8:443"], ["8.8.0.0/16", "9.9.9.9:53"]);
    assert.equal(reason("8.8.8.8", 443, [], both), "blocked by the operator");
    assert.equal(reason("64:ff9b::8.8.1.1", 443, [], both), "blocked by the operator");
    assert.equal(reason("9.9.9.9", 53, [], both), "blocked by the operator");
    assert.equal(reason("9.9.9.9", 443, [], both), "ok");
  });

  test("rules: what is one, and what is none", () => {
    for (const text of [
      "127.0.0.1",
      "127.0.0.1:1",
      "10.0.0.0/8",
      "0.0.0.0/0",
      "::1",
      "[::1]",
      "[::1]:65535",
      "fd00::/8",
      "[fd00::]/8",
      "::/0",
    ])
      assert.ok(parseRule(text).range, text);
    assert.equal(parseRule("2001:db8::1:80").port, undefined);
    const none = [
      "",
      "localhost:80",
      "example.org",
      "10.0.0.0/33",
      "::/129",
      "1.2.3",
      "1.2.3.4:0",
      "1.2.3.4:70000",
      "1.2.3.4:",
      "*:80",
      ":80",
      "1.2.3.4/8:80",
      "[1.2.3.4",
      "fe80::1%1",
    ];
    for (const text of none) assert.throws(() => parseRule(text), { code: "BAD_VALUE" }, text);
  });

  test("the offer's line names no address", () => {
    const line = summary(policy(["127.0.0.1:8080"], ["9.9.9.9", "8.8.8.8"]));
    assert.equal(line, "public addresses only; no mail ports (25, 465, 587); 2 more blocked; 1 excepted");
    assert.equal(summary(nothing), "public addresses only; no mail ports (25, 465, 587)");
  });
});
