import assert from "node:assert/strict";
import { stepLines, wishes } from "../../../src/cli/connect.ts";
import { maxWidth } from "../../../src/cli/format.ts";
import { serveOptions } from "../../../src/cli/serve.ts";
import { defaultText, servicesToSell, serviceToUse } from "../../../src/cli/services.ts";
import { type Flags, resolveSettings } from "../../../src/cli/settings.ts";
import { statusFacts, tunnelLine } from "../../../src/cli/status.ts";
import { tunnelText } from "../../../src/cli/texts.ts";
import { chooseUser, parseUsers } from "../../../src/cli/users.ts";
import type { CommandName } from "../../../src/commands.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { fakeNode } from "../api/fake-node.ts";

const myst = { symbol: "MYST", decimals: 18 };
const settings = <C extends CommandName>(command: C, flags: Flags, env = {}) =>
  resolveSettings(command, { flags, env, config: { path: "", directory: "/", values: {} }, directory: "/" }).settings;
const code = (expected: string) => (error: unknown) => isMystError(error) && error.code === expected && Boolean(error.hint);

describe("cli/services: which service", (test) => {
  test("a tunnel where there may be one, else the proxy; what is asked for goes before", () => {
    assert.deepEqual([servicesToSell([], true), servicesToSell([], false)], [["wireguard"], ["proxy"]]);
    assert.deepEqual(servicesToSell(["wireguard", "proxy", "proxy"], false), ["wireguard", "proxy"]);
    assert.deepEqual(servicesToSell(["none"], true), []);
    assert.throws(() => servicesToSell(["none", "proxy"], true), code("USAGE"));
    assert.deepEqual([serviceToUse(undefined, true), serviceToUse(undefined, false)], ["wireguard", "proxy"]);
    assert.equal(serviceToUse("proxy", true), "proxy");
    for (const kind of ["wireguard", "proxy"] as const) assert.ok(defaultText(kind).includes(kind) && defaultText(kind).length <= maxWidth);
  });

  test("several are named one by one or in one, in flags and in the environment", () => {
    assert.deepEqual(settings("serve", { service: ["wireguard,proxy"] }).service, ["wireguard", "proxy"]);
    assert.deepEqual(settings("serve", { service: ["wireguard", "proxy"] }).service, ["wireguard", "proxy"]);
    assert.deepEqual(settings("serve", {}, { MYSTNODE_SERVE_SERVICE: "proxy" }).service, ["proxy"]);
    assert.throws(() => settings("serve", { service: ["vpn"] }), code("BAD_VALUE"));
  });

  test("a relay has a port and prices, and no policy", () => {
    const { services } = serveOptions(settings("serve", { country: "DE", "relay-port": "4000" }), servicesToSell(["relay"], false), myst);
    const [relay] = services;
    assert.ok(relay?.kind === "relay" && relay.port === 4_000 && relay.perGiB > 0n);
    assert.deepEqual([relay.allow, relay.block, relay.closedPorts], [[], [], undefined]);
  });

  test("what only a tunnel has is told of the tunnel alone", () => {
    const flags = { country: "DE", "listen-port": "0", endpoint: "vpn.example.org:443", "egress-if": "eth1", backend: "kernel" };
    const { services } = serveOptions(settings("serve", { ...flags, ipv6: true }), ["wireguard", "proxy"], myst);
    const [tunnel, proxy] = services;
    assert.deepEqual(tunnel, {
      ...proxy,
      kind: "wireguard",
      listenPort: 0,
      endpoint: "vpn.example.org:443",
      egressIf: "eth1",
      flowLimit: 100,
      backend: "kernel",
      ipv6: true,
    });
    assert.throws(() => serveOptions(settings("serve", { country: "DE", ipv6: true }), ["proxy"], myst), code("USAGE"));
    assert.ok(proxy && !("listenPort" in proxy));
    const wanted = wishes({ ...settings("connect", { backend: "kernel" }), service: "wireguard" }, undefined, myst);
    assert.deepEqual([wanted.service, wanted.backend, wanted.proxy], ["wireguard", "kernel", undefined]);
  });
});

describe("cli: what is told of a tunnel", (test) => {
  test("connected: interface, address and exit, within 80 columns", () => {
    const endpoint = { interface: "mystc0", address: "10.182.0.7", via: "203.0.113.9:51820" };
    const lines = stepLines({ step: "open", atMs: 1_300, endpoint }, 1n, myst);
    const six = stepLines({ step: "open", atMs: 1_300, endpoint: { ...endpoint, address6: "fd12:3456:789a:bcde::ab6:2" } }, 1n, myst);
    assert.deepEqual([six.length, six[1]], [lines.length + 1, "and fd12:3456:789a:bcde::ab6:2: IPv6 goes by it, too"]);
    assert.equal(lines[0], "tunnel up   mystc0  10.182.0.7 via 203.0.113.9:51820   after 1.3 s");
    const met = ["punched", "relayed"].map((way) => stepLines({ step: "open", atMs: 1_300, endpoint: { ...endpoint, way } }, 1n, myst));
    for (const one of met) assert.equal(one.length, lines.length + 1);
    for (const line of [...lines, ...met.flat()]) assert.ok(line.length + 2 <= maxWidth, line);
  });

  test("intent and fact", () => {
    assert.equal(tunnelLine({ intent: "open", fact: "down" }), "not wanted, down");
    assert.equal(tunnelLine({ intent: "secured", fact: "up", interface: "mystc0", backend: "kernel" }), "wanted, up: mystc0 by kernel");
    const blocked = tunnelLine({ intent: "secured", fact: "blocked", problem: "the session is over" });
    assert.match(blocked, /^wanted, blocked \(the session is over\); .*mystnode connect.*mystnode disconnect/);
  });

  test("an exit's own", async () => {
    const tunnel = { kind: "wireguard" as const, perGiB: 0n, perHour: 0n, allow: [], block: [], listenPort: 51_820 };
    assert.equal(tunnelText({ ...tunnel, backend: "kernel", egressIf: "eth0" }), "kernel on UDP 51820, out by eth0");
    assert.equal(tunnelText({ ...tunnel, ipv6: true }), "wireguard on UDP 51820, IPv6 too");
    const now = await fakeNode().node.status();
    const serving = { country: "DE", services: [tunnel], sessions: 1, maxSessions: 5, carried: 3n << 29n };
    const shown = statusFacts({ ...now, serving }, myst).serving;
    assert.deepEqual(shown, ["wireguard in DE at free", "wireguard on UDP 51820", "1 of 5 sessions"]);
    const limited = { ...tunnel, speed: { perClient: 20e6, whole: 1.5e9 } };
    const closed = { ...serving, services: [limited], monthlyCap: 1n << 40n, closed: "this exit is closed" };
    assert.deepEqual(statusFacts({ ...now, serving: closed }, myst).serving?.slice(2), [
      "up to 20 Mbit/s for each client, 1.5 Gbit/s for all together, each way",
      "1 of 5 sessions",
      "1.50 GiB of 1.00 TiB carried this month",
      "this exit is closed",
    ]);
  });
});

describe("cli/users: whom root becomes", (test) => {
  const users = parseUsers(
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:\nann:x:1000:100::/home/ann:\nbroken\nmystnode:x:990:991::/var/lib/mystnode:\n",
  );
  const choose = (change: Partial<Parameters<typeof chooseUser>[0]>, among = users) =>
    chooseUser({ wanted: undefined, sudoUid: undefined, owner: undefined, ...change }, among);

  test("the one named; else who called sudo; else the data directory's owner; else mystnode; else nobody", () => {
    const all = { wanted: "root", sudoUid: "1000", owner: 1000 };
    assert.equal(choose(all).uid, 0);
    assert.deepEqual(choose({ ...all, wanted: undefined, owner: 990 }), { name: "ann", uid: 1000, gid: 100, home: "/home/ann" });
    assert.equal(choose({ owner: 1000 }).name, "ann");
    assert.deepEqual([choose({ owner: 0 }).uid, choose({}).uid], [990, 990]);
    assert.deepEqual(
      choose(
        {},
        users.filter(({ name }) => name !== "mystnode"),
      ).name,
      "nobody",
    );
    assert.equal(choose({}, []).uid, 65_534);
  });

  test("numbers do where there is no name; a name that there is not does not, and sudo to root is not root", () => {
    assert.deepEqual(
      [choose({ wanted: "4711:12" }).uid, choose({ wanted: "4711:12" }).gid, choose({ wanted: "1000" }).gid],
      [4711, 12, 100],
    );
    assert.throws(() => choose({ wanted: "nobody-at-all" }), code("BAD_VALUE"));
    assert.equal(choose({ sudoUid: "0" }).uid, 990);
  });
});
