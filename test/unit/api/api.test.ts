import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createApi } from "../../../src/api/api.ts";
import { createApiClient } from "../../../src/api/client.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { exit, explained, fakeNode, session } from "./fake-node.ts";

const inProcess = () => {
  const fake = fakeNode();
  let stops = 0;
  const app = createApi(fake.node, { onStop: () => stops++ });
  const client = createApiClient({ fetch: (path, init) => app.request(path, init) });
  return { ...fake, app, client, stops: () => stops };
};

const wish = { service: "proxy", maxPerGiB: 2n ** 70n, maxPerHour: 5n, budget: 6n, proxy: "127.0.0.1:0" } as const;
// biome-ignore lint/suspicious/noExplicitAny: what came, as it came
const bodyOf = async (response: Response | Promise<Response>): Promise<any> => (await response).json();
const collect = async <T>(items: AsyncIterable<T>) => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};
const errorOf = async (work: Promise<unknown>): Promise<MystError> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof MystError, `expected a MystError, got ${error}`);
  return error;
};

describe("api: calls", (test) => {
  test("amounts are decimal strings on the wire and bigint on either side", async () => {
    const { app, client, calls } = inProcess();
    const raw = await bodyOf(app.request("/v1/sessions"));
    assert.equal(raw.v, 1);
    assert.equal(raw.sessions[0].promised, (2n ** 90n).toString());
    assert.deepEqual((await client.call("sessions")).sessions, [session]);
    await collect(client.stream("deposit", { amount: 2n ** 80n, bond: 0n }));
    assert.deepEqual(calls.at(-1), ["deposit", { amount: 2n ** 80n, bond: 0n }]);
  });

  test("a query carries what was asked for, and nothing that was not", async () => {
    const { client, calls } = inProcess();
    await client.call("exits", { country: "US", city: "New York & co", limit: 3, maxPerGiB: 9n });
    assert.deepEqual(calls.at(-1), ["exits", { country: "US", city: "New York & co", limit: 3, maxPerGiB: 9n }]);
    for (const minScore of [0, 0.25, 1]) {
      await client.call("exits", { minScore, sort: "score" });
      assert.deepEqual(calls.at(-1), ["exits", { minScore, sort: "score" }]);
    }
    await client.call("exits", {});
    assert.deepEqual(calls.at(-1), ["exits", {}]);
    await client.call("exits", { networkKind: "residential", openPorts: [25, 587], maxPerHour: 7n });
    assert.deepEqual(calls.at(-1), ["exits", { networkKind: "residential", openPorts: [25, 587], maxPerHour: 7n }]);
  });

  test("a kill switch that was left is lifted, once", async () => {
    const { client, block } = inProcess();
    block();
    assert.deepEqual(await client.call("unblock"), { released: true });
    assert.deepEqual(await client.call("unblock"), { released: false });
  });

  test("every view comes through whole", async () => {
    const { client, node } = inProcess();
    assert.deepEqual(await client.call("status"), await node.status());
    assert.deepEqual(await client.call("wallet"), await node.wallet.show());
    assert.deepEqual((await client.call("exits", {})).exits, [exit]);
    assert.deepEqual((await client.call("explain", { peer: exit.peer })).exit, explained);
    assert.equal((await client.call("network")).network.minBond, "1000000000000000000");
    assert.deepEqual(await client.call("account"), await node.wallet.account());
    assert.deepEqual(await collect(client.stream("withdraw")), [{ type: "done", result: { hash: "0xbb", withdrawn: 10n, credited: 0n } }]);
    assert.deepEqual(await collect(client.stream("close")), [{ type: "done", result: { hash: "0xcc", closeAtMs: 7 } }]);
  });

  test("stop is answered first, then done", async () => {
    const { client, stops } = inProcess();
    assert.deepEqual(await client.call("stop"), { stopping: true });
    await new Promise(setImmediate);
    assert.equal(stops(), 1);
  });
});

describe("api: what it refuses", (test) => {
  const post = (app: ReturnType<typeof inProcess>["app"], path: string, body: string) => app.request(path, { method: "POST", body });

  test("an unknown member, a wrong type, a wrong amount, no JSON, an array: 400 and BAD_VALUE", async () => {
    const { app, calls } = inProcess();
    const bodies = [
      '{"amount":"1","bond":"1","more":1}',
      '{"amount":1,"bond":"1"}',
      '{"amount":"-1","bond":"1"}',
      '{"amount":"1"',
      "[1]",
      '"x"',
      "null",
    ];
    for (const body of bodies) {
      const response = await post(app, "/v1/wallet/deposit", body);
      assert.equal(response.status, 400, body);
      assert.equal((await bodyOf(response)).error.code, "BAD_VALUE", body);
    }
    assert.deepEqual(calls, []);
  });

  test("a body over the bound, whether it says its length or not", async () => {
    const { app, calls } = inProcess();
    const long = JSON.stringify({ amount: "1", bond: "1", pad: "x".repeat(70_000) });
    assert.equal((await bodyOf(post(app, "/v1/wallet/deposit", long))).error.code, "BAD_VALUE");
    const body = new Blob([long]).stream();
    const streamed = await app.request("/v1/wallet/deposit", { method: "POST", body, duplex: "half" } as RequestInit);
    assert.match((await bodyOf(streamed)).error.message, /65536 bytes/);
    assert.deepEqual(calls, []);
  });

  test("an unknown route, and a known one by another method", async () => {
    const { app } = inProcess();
    for (const request of [app.request("/v2/status"), post(app, "/v1/status", ""), app.request("/v1/wallet/deposit")])
      assert.equal((await bodyOf(request)).error.code, "USAGE");
  });

  test("a session that is not there is 404", async () => {
    const { app, client } = inProcess();
    assert.equal((await app.request("/v1/sessions/none")).status, 404);
    assert.equal((await errorOf(client.call("session", { id: "no/../ne" }))).code, "SESSION_UNKNOWN");
  });

  test("an error that is not ours arrives as INTERNAL, without its stack", async () => {
    const { app, client, node } = inProcess();
    node.sessions = async () => {
      throw new TypeError("something of ours broke");
    };
    const response = await app.request("/v1/sessions");
    assert.equal(response.status, 500);
    assert.deepEqual(await response.json(), { v: 1, error: { code: "INTERNAL", message: "something of ours broke" } });
    assert.equal((await errorOf(client.call("sessions"))).code, "INTERNAL");
    assert.equal((await errorOf(collect(client.stream("settle")))).code, "INTERNAL");
  });
});

describe("api: transactions", (test) => {
  test("each is told as it goes out, then the result", async () => {
    const { client, calls } = inProcess();
    const signer = `0x${"12".repeat(20)}` as const;
    assert.deepEqual(await collect(client.stream("deposit", { amount: 1n, bond: 2n, signer })), [
      { type: "sent", sent: { what: "deposit", hash: "0xaa" } },
      { type: "done", result: { hash: "0xaa" } },
    ]);
    assert.deepEqual(calls.at(-1), ["deposit", { amount: 1n, bond: 2n, signer }]);
  });

  test("who goes away ends the waiting", async () => {
    const { client } = inProcess();
    const leaving = new AbortController();
    const error = errorOf(
      (async () => {
        for await (const item of client.stream("deposit", { amount: 99n, bond: 0n }, leaving.signal)) {
          assert.equal(item.type, "sent");
          leaving.abort();
        }
      })(),
    );
    assert.equal((await error).code, "INTERRUPTED");
  });

  test("what another wallet has to send is asked for by checked members only", async () => {
    const { app, client, calls } = inProcess();
    const owner = `0x${"34".repeat(20)}` as const;
    await client.call("outside", { action: "deposit", owner, amount: 2n ** 90n });
    assert.deepEqual(calls.at(-1), ["outside", { action: "deposit", owner, amount: 2n ** 90n }]);
    for (const body of [
      '{"action":"close","signer":"0x12"}',
      '{"action":"steal"}',
      `{"action":"deposit","consent":"0x${"0".repeat(127)}"}`,
    ])
      assert.equal((await app.request("/v1/wallet/outside", { method: "POST", body })).status, 400, body);
    assert.equal((await client.call("consent", { owner })).owner, owner);
  });
});

describe("api: connect", (test) => {
  test("tells each step, then the connection, then ends", async () => {
    const { client, given } = inProcess();
    const items = await collect(client.stream("connect", wish));
    assert.deepEqual(
      items.map((item) => (item.type === "step" ? item.step.step : item.type)),
      ["found", "open", "connected"],
    );
    assert.deepEqual(items[0], { type: "step", step: { step: "found", atMs: 1, matching: 2, exit } });
    const { onStep, signal, ...asked } = given();
    assert.ok(onStep);
    assert.deepEqual(asked, wish);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(signal.aborted, false, "the connection outlives the question");
  });

  test("an error is the last line, with its hint and its facts", async () => {
    const { client } = inProcess();
    const error = await errorOf(collect(client.stream("connect", { ...wish, city: "nowhere" })));
    assert.equal(error.code, "NO_MATCHING_EXIT");
    assert.equal(error.hint, "try another");
    assert.deepEqual(error.meta, { known: 3, price: "7" });
  });

  test("who goes away ends the attempt", async () => {
    const { client, given } = inProcess();
    for await (const item of client.stream("connect", { ...wish, city: "slow" })) {
      assert.equal(item.type, "step");
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(given().signal.aborted, true);
  });

  test("the end of a session is told to who waits, also when it came before the question", async () => {
    const { client } = inProcess();
    await collect(client.stream("connect", wish));
    const waiting = client.call("sessionEnd", { id: session.id });
    await client.call("disconnect");
    assert.equal((await waiting).session.state, "CLOSED");
    assert.equal((await client.call("sessionEnd", { id: session.id })).session.state, "CLOSED");
    assert.equal((await errorOf(client.call("disconnect"))).code, "NOT_CONNECTED");
  });

  test("what ended it against our will is told as the error it is", async () => {
    const { client, fail } = inProcess();
    await collect(client.stream("connect", wish));
    fail(new MystError("BUDGET_EXHAUSTED", "all spent"));
    assert.equal((await errorOf(client.call("sessionEnd", { id: session.id }))).code, "BUDGET_EXHAUSTED");
  });
});

describe("api: events", (test) => {
  test("end when who reads them has enough, however long they have been read", async () => {
    const { client, listeners } = inProcess();
    const enough = new AbortController();
    const read = collect(client.stream("events", undefined, enough.signal)).catch(() => []);
    await until(() => listeners.size === 1);
    setFlagsFromString("--expose-gc");
    for (let i = 0; i < 20; i += 1) {
      runInNewContext("gc")();
      await new Promise((done) => setTimeout(done, 10));
    }
    enough.abort();
    await read;
    assert.equal(listeners.size, 0);
  });

  test("come as they are emitted; leaving the stream leaves no listener", async () => {
    const { client, emit, listeners } = inProcess();
    const stream = client.stream("events");
    const first = stream.next();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(listeners.size, 1);
    emit({ type: "settled", hash: "0xaa", claims: 1, paid: 2n ** 70n });
    assert.deepEqual((await first).value, { event: { type: "settled", hash: "0xaa", claims: 1, paid: 2n ** 70n } });
    await stream.return(undefined);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(listeners.size, 0);
  });

  test("a reader that does not read costs a bounded number of events", async () => {
    const { client, emit, listeners } = inProcess();
    const stream = client.stream("events");
    const first = stream.next();
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (let claims = 0; claims < 5_000; claims += 1) emit({ type: "settled", hash: "0xaa", claims, paid: 1n });
    assert.deepEqual((await first).value, { event: { type: "settled", hash: "0xaa", claims: 4_000, paid: 1n } });
    await stream.return(undefined);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(listeners.size, 0);
  });
});
