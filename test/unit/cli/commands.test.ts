import assert from "node:assert/strict";
import { stepLines, wishes } from "../../../src/cli/connect.ts";
import { relayUse, serveOptions, servingLine } from "../../../src/cli/serve.ts";
import { type Flags, resolveSettings } from "../../../src/cli/settings.ts";
import { statusFacts } from "../../../src/cli/status.ts";
import { mappingText, priceText, reachText, sessionFacts } from "../../../src/cli/texts.ts";
import type { CommandName } from "../../../src/commands.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { exit, failover, fakeNode, session } from "../api/fake-node.ts";

const myst = { symbol: "MYST", decimals: 18 };
const settings = <C extends CommandName>(command: C, flags: Flags) =>
  resolveSettings(command, { flags, env: {}, config: { path: "", directory: "/", values: {} }, directory: "/" }).settings;
const code = (expected: string) => (error: unknown) => isMystError(error) && error.code === expected && Boolean(error.hint);
const milli = (thousandths: bigint) => thousandths * 10n ** 15n;

describe("cli/texts: what a router does", (test) => {
  const ports = [
    { protocol: "tcp" as const, port: 4480, outside: 4480 },
    { protocol: "udp" as const, port: 51_820, outside: 1_999 },
  ];
  const by = { by: "upnp" as const, router: "192.168.1.1", outside: "45.9.8.7", ports };
  test("both ports, where they lead, and why nobody is told of them", () => {
    const forwards = "192.168.1.1 forwards tcp 4480 and udp 1999 (here 51820) of 45.9.8.7, by upnp";
    assert.equal(mappingText({ state: "announced", ...by }), forwards);
    assert.equal(mappingText({ state: "mapped", ...by, why: "nobody came" }), `${forwards}; not announced: nobody came`);
    const hand = { state: "announced" as const, by: "hand" as const, outside: "45.9.8.7", ports: ports.slice(0, 1) };
    assert.equal(mappingText(hand), "peers come in by tcp 4480 of 45.9.8.7, which nobody here has asked for");
    assert.equal(mappingText({ state: "none", why: "it maps no ports" }), "it maps no ports");
  });

  test("serve asks for it unless told not to", () => {
    const asks = (flags: Flags) => serveOptions(settings("serve", { country: "DE", ...flags }), ["proxy"], myst).upnp;
    assert.deepEqual([asks({}), asks({ upnp: "off" })], [true, false]);
  });
});

describe("cli/connect: what is asked of the node", (test) => {
  test("safe caps and a budget when nothing is said", () => {
    const expected = { service: "proxy", maxPerGiB: milli(200n), maxPerHour: milli(50n), budget: milli(1000n), proxy: "127.0.0.1:1080" };
    assert.deepEqual(wishes(settings("connect", {}), undefined, myst), expected);
  });

  test("all that is said, and nothing that is not", () => {
    const flags = { country: "us", city: "Reno", "max-price-gib": "0.1myst", budget: "2myst", exclude: ["aaaaaa"], proxy: "127.0.0.1:0" };
    assert.deepEqual(wishes(settings("connect", flags), "bbbbbb", myst), {
      service: "proxy",
      peer: "bbbbbb",
      country: "US",
      city: "Reno",
      maxPerGiB: milli(100n),
      maxPerHour: milli(50n),
      budget: milli(2000n),
      exclude: ["aaaaaa"],
      proxy: "127.0.0.1:0",
    });
  });

  test("a consumer cannot set its price to 0, nor its budget; to pay nothing by the hour is fine", () => {
    assert.throws(() => wishes(settings("connect", { "max-price-gib": "0" }), undefined, myst), code("CONSUMER_PRICE_ZERO"));
    assert.throws(() => wishes(settings("connect", { budget: "0myst" }), undefined, myst), code("BUDGET_TOO_SMALL"));
    assert.equal(wishes(settings("connect", { "max-price-hour": "0" }), undefined, myst).maxPerHour, 0n);
  });

  test("the first step says the price and the most that it can cost", () => {
    const lines = stepLines({ step: "found", atMs: 1, matching: 14, exit }, milli(1000n), myst).join("\n");
    assert.match(lines, /14 exits/);
    assert.ok(!lines.includes("score"));
    const known = stepLines({ step: "found", atMs: 1, matching: 14, exit: { ...exit, score: 0.94, rttMs: 31.4 } }, milli(1000n), myst);
    assert.match(known[0] ?? "", / in US \(score 0\.94, 31 ms\)$/);
    assert.match(lines, /0\.1 MYST\/GiB \+ 0\.01 MYST\/h/);
    assert.match(lines, /at most 1 MYST/);
    assert.match(lines, /10\.0 GiB/);
  });
});

describe("cli/connect: the proxy", (test) => {
  test("both ways to use it are shown", () => {
    const endpoint = { socks: "127.0.0.1:1080", http: "127.0.0.1:1080" };
    assert.deepEqual(stepLines({ step: "open", atMs: 1_300, endpoint }, 1n, myst), [
      "proxy up   127.0.0.1:1080   after 1.3 s",
      "try it: curl --proxy socks5h://127.0.0.1:1080 https://example.com",
      "    or: curl --proxy http://127.0.0.1:1080 https://example.com",
    ]);
  });
});

describe("cli/serve: relays", (test) => {
  test("one is offered with its limits or without any; limits alone are a mistake", () => {
    assert.equal(relayUse(settings("serve", {})), "auto");
    assert.equal(relayUse(settings("serve", { relay: "use" })), "use");
    assert.deepEqual(relayUse(settings("serve", { relay: "offer" })), {});
    const limits = { relay: "offer", "relay-data": "1GiB", "relay-time": "24h" };
    assert.deepEqual(relayUse(settings("serve", limits)), { dataLimit: 1n << 30n, timeLimitMs: 86_400_000 });
    for (const alone of [{ "relay-data": "1GiB" }, { relay: "none", "relay-time": "1h" }])
      assert.throws(() => relayUse(settings("serve", alone)), code("USAGE"));
  });
});

describe("cli/serve: what is offered", (test) => {
  test("an operator may set price 0 on purpose", () => {
    const { services } = serveOptions(settings("serve", { country: "DE", "price-gib": "0", "price-hour": "0" }), ["proxy"], myst);
    assert.deepEqual([services[0]?.perGiB, services[0]?.perHour], [0n, 0n]);
    assert.equal(priceText({ perGiB: 0n, perHour: 0n }, myst), "free");
    assert.equal(reachText({ perGiB: 0n, perHour: 0n }, 1n), "nothing will be spent");
  });

  test("to sell needs a country; to help the network does not", () => {
    const [some, other] = [`0x${"AB".repeat(20)}`, `0x${"cd".repeat(20)}`];
    const lists = serveOptions(settings("serve", { country: "DE", "allow-payer": [some], "block-payer": [some, other] }), ["proxy"], myst);
    assert.deepEqual([lists.allowPayers, lists.blockPayers], [[some.toLowerCase()], [some.toLowerCase(), other]]);
    assert.throws(() => serveOptions(settings("serve", {}), ["proxy"], myst), code("USAGE"));
    assert.deepEqual(serveOptions(settings("serve", {}), [], myst).services, []);
  });

  test("to clear for others needs a country, too, and no service beside; a fee without it is a mistake", () => {
    assert.throws(() => serveOptions(settings("serve", { watch: true }), [], myst), code("USAGE"));
    assert.throws(() => serveOptions(settings("serve", { country: "DE", "watch-fee": "1%" }), ["proxy"], myst), code("USAGE"));
    const limited = settings("serve", { country: "DE", "speed-limit": "20Mbit" });
    assert.throws(() => serveOptions(limited, ["wireguard", "proxy"], myst), code("USAGE"));
    assert.deepEqual(serveOptions(limited, ["wireguard"], myst).services[0]?.speed, { perClient: 20e6 });
    const alone = serveOptions(settings("serve", { watch: true, country: "DE" }), [], myst);
    assert.deepEqual([alone.services, alone.watch, alone.maxWatchFeeBps], [[], { feeBps: 200 }, 200]);
    const beside = serveOptions(
      settings("serve", { watch: true, country: "DE", "watch-fee": "1.5%", "watch-max-fee": "0%" }),
      ["proxy"],
      myst,
    );
    assert.deepEqual([beside.services.length, beside.watch, beside.maxWatchFeeBps], [1, { feeBps: 150 }, 0]);
    assert.equal(serveOptions(settings("serve", { country: "DE" }), ["proxy"], myst).watch, undefined);
  });

  test("earnings are summed over sessions", () => {
    const sessions = [
      { ...session, promised: milli(100n), cleared: milli(50n), usedBytes: 1n << 20n },
      { ...session, promised: milli(20n), usedBytes: 1n << 20n },
    ];
    assert.equal(servingLine(sessions, 1, 50, myst), "1 of 50 sessions   ⇅ 2.00 MiB   earned 0.12 MYST   cleared 0.05 MYST");
  });
});

describe("cli/status", (test) => {
  test("what is not there is not shown, what is, is", async () => {
    const now = await fakeNode().node.status();
    const shown = statusFacts(now, myst);
    assert.deepEqual([shown.serving, shown.connection, shown.chain], [undefined, undefined, "not reachable: it is off"]);
    const forOthers = { feeBps: 150, channels: 1, providers: 1, amount: milli(100n), cleared: 2, earned: milli(3n) };
    const byOthers = { channels: 2, amount: milli(52n), by: ["16Uiu2HAmAbcdefgh"] };
    const serving = { country: "DE", services: [], sessions: 0, maxSessions: 5, carried: 0n, watching: { forOthers, byOthers } };
    const watching = statusFacts({ ...now, serving }, myst);
    assert.deepEqual(watching.watching, ["0.1 MYST on 1 channel of 1 exit, for 1.5 %", "2 cleared since the start, 0.003 MYST earned"]);
    assert.equal(watching.watched, "0.052 MYST on 2 channels by …Abcdefgh");
    const connection = { ...session, endpoint: { socks: "127.0.0.1:1080" }, failover };
    const linesOf = (one: typeof connection) => [statusFacts({ ...now, connection: one }, myst).connection ?? []].flat();
    const lines = linesOf(connection);
    assert.ok(lines.includes("socks 127.0.0.1:1080"));
    assert.ok(lines.includes(`standby US ${exit.peer}`));
    assert.match(lines.at(-1) ?? "", /is left: it is gone; looking/);
    const alone = linesOf({ ...connection, failover: { ...failover, choice: "off" } });
    assert.ok(!alone.some((line) => /standby|looking/.test(line)));
    assert.equal(sessionFacts(session, myst, 0).exit, exit.peer);
    assert.equal(statusFacts({ ...now, conflicts: [] }, myst).cheats, undefined);
    const signer = `0x${"ab".repeat(20)}` as const;
    const cheats = statusFacts({ ...now, conflicts: [{ signer, sinceMs: 1, owed: milli(20n) }] }, myst).cheats;
    assert.deepEqual(cheats, [`${signer} has signed what cannot all be true; 0.02 MYST owed here`]);
  });
});
