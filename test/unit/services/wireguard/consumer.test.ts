import assert from "node:assert/strict";
import { isMystError, MystError } from "../../../../src/lib/errors.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { createWireguardClient } from "../../../../src/services/wireguard/consumer.ts";
import { connectionOf, readRequest } from "../../../../src/services/wireguard/handshake.ts";
import type { Meet } from "../../../../src/services/wireguard/meeting.ts";
import type { Endpoint, HelperProbe } from "../../../../src/services/wireguard/types.ts";
import { fakeHelper, newKey } from "../../../support/fake-helper.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";

const code = (expected: string) => (error: unknown) => isMystError(error, expected as MystError["code"]);
const rpc = { address: "192.0.2.1", port: 443, protocol: "tcp" as const };
const offer = { publicKey: newKey(), port: 51_820, address: "10.182.0.7", dns: "10.182.0.1", mtu: 1280 };

const firstOffer = { ...offer, mtu: 1420 };

function client(change: Partial<HelperProbe> = {}, control: Endpoint[] = [rpc], meet?: Meet) {
  const fake = fakeHelper(change);
  let nowMs = 1_000;
  const addresses = new Map([["exit", "203.0.113.9"]]);
  const made = createWireguardClient({
    helper: fake.helper,
    control: async () => [...control],
    addressOf: (peer) => addresses.get(peer),
    uid: 65_534,
    clock: { nowMs: () => nowMs },
    log: silentLogger,
  });
  const used: bigint[] = [];
  const failed: MystError[] = [];
  const gone = new AbortController();
  const service = made.consumer(meet ? { meet } : {});
  let searches = 0;
  const open = (connection = connectionOf(offer), peer = "exit") =>
    service.open({
      onSearch: () => {
        searches += 1;
      },
      sessionId: "00",
      peer,
      connection,
      onUsage: (bytes) => used.push(bytes),
      onFailed: (error) => failed.push(error),
      signal: gone.signal,
    });
  return {
    fake,
    client: made,
    service,
    open,
    used,
    failed,
    gone,
    searches: () => searches,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("wireguard/consumer: what comes first", (test) => {
  test("the kill switch stands before anything is proposed, and lets through what the node needs and nothing else", async () => {
    const { fake, service } = client();
    await service.check();
    assert.deepEqual(fake.calls, [], "a check changes nothing");
    const asked = await service.request?.("01");
    assert.deepEqual(fake.calls.slice(0, 2), ["openClient", "secure"]);
    assert.deepEqual(fake.configs.client, { uid: 65_534, control: [rpc] });
    assert.equal(readRequest(asked).publicKey.length, 44);
  });

  test("nothing is proposed where it does not come up", async () => {
    const { fake, service } = client();
    fake.fail(new MystError("TUNNEL_FAILED", "it does not load"));
    await assert.rejects(async () => service.request?.("01"), code("TUNNEL_FAILED"));
  });

  test("a machine that cannot run it says so before anything is looked for", async () => {
    const reason = "there is no wg";
    const { service } = client({ backends: [{ kind: "kernel", ok: false, reason }] });
    const { client: named } = client({ backends: [{ kind: "kernel", ok: false, reason }] });
    await assert.rejects(
      named.consumer({ backend: "kernel" }).check(),
      (error) => code("TOOL_MISSING")(error) && String(error).includes(reason),
    );
    await service.check();
    const { service: nothing } = client({ backends: [{ kind: "kernel", ok: false, reason }], chosen: undefined as never });
    await assert.rejects(nothing.check(), code("TOOL_MISSING"));
  });
});

describe("wireguard/consumer: a session", (test) => {
  test("goes to the address that the exit is known by, or to the one that it names", async () => {
    const { fake, open, service } = client();
    await service.request?.("01");
    const handle = await open();
    assert.deepEqual(handle.endpoint, { interface: "mystc0", address: "10.182.0.7", via: "203.0.113.9:51820" });
    assert.deepEqual(fake.configs.up?.endpoint, { address: "203.0.113.9", port: 51_820, protocol: "udp" });
    const other = await open(connectionOf({ ...offer, host: "198.51.100.2", port: 443 }));
    assert.equal(other.endpoint.via, "198.51.100.2:443");
    await Promise.all([handle.close(), other.close()]);
    await assert.rejects(open(connectionOf(offer), "somebody"), code("TUNNEL_FAILED"));
  });

  test("an answer that describes no tunnel is none", async () => {
    const { open, fake } = client();
    const good = connectionOf(offer);
    const { dns: _, ...without } = good;
    const bad: object[] = [
      {},
      without,
      { ...good, port: 0 },
      { ...good, address: "10.0.0.0/8" },
      { ...good, host: "a.name" },
      { ...good, host: "::1" },
      { ...good, mtu: 9000 },
      { ...good, mtu: 500 },
      { ...good, key: "k" },
      { ...good, more: 1 },
    ];
    for (const connection of bad) await assert.rejects(open(connection as never), code("MALFORMED"));
    assert.ok(!fake.calls.includes("up"));
  });

  test("one whose tunnel does not answer can be left for another; it says that UDP may be blocked", async () => {
    const { fake, open, service } = client();
    await service.request?.("01");
    fake.fail(new MystError("PEER_TIMEOUT", "no handshake"), "up");
    await assert.rejects(open(), (error) => code("TUNNEL_FAILED")(error) && /UDP.*--service proxy/.test((error as MystError).hint ?? ""));
  });

  test("one that has no address is met, from the same socket that was seen; what that takes ends with it, or ends it", async () => {
    const lost = Promise.withResolvers<MystError>();
    const closed: string[] = [];
    const place = { address: "198.51.100.4", port: 4_000 };
    const meet: Meet = async ({ peer, sessionId }, tunnel) => {
      assert.deepEqual([peer, sessionId], ["behind NAT", "00"]);
      await tunnel.greet([{ publicKey: newKey(), endpoint: place }]);
      await tunnel.up(place, true);
      return { how: "relayed", at: place, close: async () => void closed.push("closed"), failed: lost.promise };
    };
    const { fake, open, failed, searches } = client({}, [rpc], meet);
    const handle = await open(connectionOf(offer), "behind NAT");
    assert.deepEqual(fake.calls.slice(-2), ["greet 198.51.100.4:4000", "up"]);
    assert.deepEqual([fake.configs.up?.punch, fake.configs.up?.endpoint], [true, { ...place, protocol: "udp" }]);
    assert.deepEqual([handle.endpoint.way, handle.endpoint.via, searches()], ["relayed", "198.51.100.4:4000", 1]);
    lost.resolve(new MystError("TUNNEL_FAILED", "the relay is gone"));
    await until(() => failed.length === 1);
    await handle.close();
    await handle.close();
    assert.deepEqual(closed, ["closed"]);
    await (await open()).close();
    assert.equal(searches(), 1, "one with an address is not looked for");
  });

  test("counts what both counters say since it began, tells what has reached it, and hears of traffic", async () => {
    const { fake, open, used } = client();
    fake.count(1_000n, 500n);
    const handle = await open();
    assert.equal(handle.usedBytes(), 0n);
    fake.count(1_300n, 600n);
    assert.deepEqual([handle.usedBytes(), handle.receivedBytes?.(), used], [400n, 300n, [400n]]);
    fake.count(1_300n, 600n);
    assert.deepEqual(used, [400n], "nothing new is no news");
    assert.equal(await handle.close(), 400n);
    fake.count(9_000n, 9_000n);
    assert.deepEqual([handle.usedBytes(), handle.receivedBytes?.(), used], [400n, 300n, [400n]]);
  });

  test("with two hops the first tunnel has a session of its own, and the other one fits into it", async () => {
    const { fake, client: made } = client();
    const first = made.consumer({ leg: "first", postQuantum: false });
    const service = made.consumer({ postQuantum: false });
    const signal = new AbortController().signal;
    const failed: MystError[] = [];
    const onFailed = (error: MystError) => failed.push(error);
    const ofFirst = readRequest(await first.request?.("01"));
    const outer = await first.open({
      sessionId: "01",
      peer: "exit",
      connection: connectionOf(firstOffer),
      onUsage: () => undefined,
      onFailed,
      signal,
    });
    assert.deepEqual(outer.endpoint, { hop: "first", interface: "mystf0", address: "10.182.0.7", via: "203.0.113.9:51820" });
    assert.equal(outer.inside, undefined, "both may have given us the same address: nobody asks from inside of it");
    const ofLast = readRequest(await service.request?.("02"));
    assert.notEqual(ofFirst.publicKey, ofLast.publicKey);
    const open = (sessionId: string) =>
      service.open({ sessionId, peer: "exit", connection: connectionOf(firstOffer), onUsage: () => undefined, onFailed, signal });
    const inner = await open("02");
    // 1,280 are known to pass the first
    assert.deepEqual([fake.configs.first?.mtu, fake.configs.up?.mtu], [1420, 1280 - 80]);
    await inner.close();
    await outer.close();
    assert.deepEqual(fake.calls.slice(-2), ["block", "block first"]);
    const alone = await open("03");
    assert.equal(fake.configs.up?.mtu, 1420, "alone it is as large as its exit has it");
    await alone.close();
  });

  test("time for which nothing answers is told", async () => {
    const { fake, open, pass } = client();
    const handle = await open();
    fake.count(0n, 200n);
    pass(3_000);
    assert.equal(handle.unanswered().nowMs, 3_000);
    fake.count(400n, 200n);
    assert.equal(handle.unanswered().nowMs, 0);
    await handle.close();
  });

  test("its end takes the tunnel down and leaves the kill switch; only who wishes so lifts it", async () => {
    const { fake, client: made, open, service } = client();
    await service.request?.("01");
    const handle = await open();
    await handle.close();
    await handle.close();
    assert.deepEqual(fake.calls.slice(-2), ["up", "block"]);
    assert.deepEqual([made.state().intent, made.state().fact], ["secured", "blocked"]);
    await made.release();
    assert.deepEqual(made.state(), { intent: "open", fact: "down" });
    await service.request?.("01");
    assert.equal(fake.calls.filter((call) => call === "openClient").length, 2);
  });

  test("a helper that ends breaks the session", async () => {
    const { fake, open, failed } = client();
    const handle = await open();
    fake.end("it was killed");
    await until(() => failed.length > 0);
    assert.deepEqual(
      failed.map(({ code: name }) => name),
      ["TUNNEL_FAILED"],
    );
    await handle.close();
    assert.ok(!fake.calls.includes("block"), "there is nobody to ask");
  });

  test("a tunnel that is started again in time does not, one that stays away does", async () => {
    const { fake, open, failed, pass } = client();
    const handle = await open();
    fake.state({ intent: "secured", fact: "blocked", problem: "its process was killed" });
    pass(10_000);
    await new Promise((done) => setTimeout(done, 1_100));
    assert.equal(failed.length, 0);
    pass(15_000);
    await until(() => failed.length > 0);
    assert.match(String(failed[0]?.message), /its process was killed/);
    await handle.close();
  });
});

describe("wireguard/consumer: the kill switch between sessions", (test) => {
  test("one that was left is taken over, with what this node needs let through", async () => {
    const { fake, client: made } = client({ blocked: true });
    await made.adopt();
    assert.deepEqual(fake.calls, ["openClient", "secure"]);
    const { fake: free, client: other } = client();
    await other.adopt();
    assert.deepEqual(free.calls, []);
  });

  test("what is dialled next is let through, while it stands", async () => {
    const control: Endpoint[] = [rpc];
    const { fake, client: made, service } = client({}, control);
    await made.refresh();
    assert.deepEqual(fake.calls, []);
    await service.request?.("01");
    const exit = { address: "203.0.113.9", port: 4480, protocol: "tcp" as const };
    control.push(exit);
    await made.refresh();
    assert.deepEqual(fake.configs.control, [rpc, exit]);
  });
});
