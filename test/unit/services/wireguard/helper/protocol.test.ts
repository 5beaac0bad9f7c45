import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import fc from "fast-check";
import { makeKeyPair } from "../../../../../src/services/wireguard/backend/keys.ts";
import { type ClientEvent, initialState, nextState } from "../../../../../src/services/wireguard/helper/client-state.ts";
import { dispatch } from "../../../../../src/services/wireguard/helper/dispatch.ts";
import { readLines } from "../../../../../src/services/wireguard/helper/lines.ts";
import { lineMax, type Note, noteSchema } from "../../../../../src/services/wireguard/helper/protocol.ts";
import { describe } from "../../../../support/harness.ts";

const key = makeKeyPair().publicKey;
const endpoint = { address: "192.0.2.1", port: 7, protocol: "udp" };

async function told(line: string) {
  const done: string[] = [];
  const answers: Note[] = [];
  const handlers = {
    ask: async ({ op }: { op: string }) => void done.push(op),
    credit: () => void done.push("credit"),
    beat: () => void done.push("beat"),
  };
  await dispatch(line, handlers, (note) => answers.push(note));
  for (const answer of answers) noteSchema.parse(JSON.parse(JSON.stringify(answer)));
  return { done, answers };
}

describe("wireguard helper: requests", (test) => {
  const exit = { listenPort: 51820, mtu: 1280, allow: ["10.0.0.0/8"], block: ["192.0.2.1:80"] };
  const inside = { address: "10.182.0.2", dns: "10.182.0.1", mtu: 1280 };
  const place = { address: "192.0.2.1", port: 7 };
  const good: Record<string, unknown>[] = [
    { id: 1, op: "probe" },
    { id: 1, op: "openExit", config: exit },
    { id: 1, op: "openExit", config: { ...exit, backend: "kernel", egressIf: "eth0.12", egressAddress: "192.0.2.7" } },
    { id: 1, op: "admit", publicKey: key },
    { id: 1, op: "openClient", config: { uid: 1000, control: [endpoint, { ...endpoint, address: "2001:db8::1", through: true }] } },
    { id: 1, op: "mtu", leg: "first", mtu: 1280 },
    { id: 1, op: "up", leg: "last", exit: { publicKey: key, presharedKey: key, endpoint, ...inside } },
    { id: 1, op: "up", leg: "last", exit: { publicKey: key, endpoint, ...inside, punch: true } },
    { id: 1, op: "greet", inside, greetings: [{ publicKey: key, endpoint: place }] },
    { id: 1, op: "greetFromExit", greeting: { publicKey: key, endpoint: place } },
    { id: 1, op: "reach", publicKey: key, place },
    { id: 1, op: "reach", publicKey: key },
    { op: "credit", credits: [[key, "1000000", 60_000.5]] },
    { op: "beat" },
  ];

  for (const request of good)
    test(`${JSON.stringify(request).slice(0, 60)} is taken`, async () => {
      const { done, answers } = await told(JSON.stringify(request));
      assert.deepEqual(done, [request.op]);
      assert.deepEqual(answers, request.id === undefined ? [] : [{ id: 1, result: {} }]);
    });

  const bad: [name: string, request: unknown][] = [
    ["no number", { op: "probe" }],
    ["number 0", { id: 0, op: "probe" }],
    ["an unknown request", { id: 1, op: "exec", command: "id" }],
    ["a field too many", { id: 1, op: "probe", extra: 1 }],
    ["an interface with a line break", { id: 1, op: "openExit", config: { ...exit, egressIf: "eth0\ndel" } }],
    ["an interface that is an option", { id: 1, op: "openExit", config: { ...exit, egressIf: "-batch" } }],
    ["a backend that does not ship", { id: 1, op: "openExit", config: { ...exit, backend: "fake" } }],
    ["a rule with text for nft", { id: 1, op: "openExit", config: { ...exit, allow: ["10.0.0.0/8 accept; }"] } }],
    ["a name as address", { id: 1, op: "openExit", config: { ...exit, egressAddress: "localhost" } }],
    ["a port too high", { id: 1, op: "openExit", config: { ...exit, listenPort: 65_536 } }],
    ["a key in another spelling", { id: 1, op: "admit", publicKey: `${key}\n` }],
    ["an address with a zone", { id: 1, op: "openClient", config: { uid: 0, control: [{ ...endpoint, address: "fe80::1%eth0" }] } }],
    ["a tunnel that is neither", { id: 1, op: "block", leg: "middle", reason: "" }],
    ["a user that is none", { id: 1, op: "openClient", config: { uid: -1, control: [] } }],
    ["nobody to greet", { id: 1, op: "greet", inside, greetings: [] }],
    ["a greeting to five", { id: 1, op: "greet", inside, greetings: Array(5).fill({ publicKey: key, endpoint: place }) }],
    ["a greeting to a name", { id: 1, op: "greetFromExit", greeting: { publicKey: key, endpoint: { ...place, address: "a.example" } } }],
    ["a client at no port", { id: 1, op: "reach", publicKey: key, place: { ...place, port: 0 } }],
    ["negative credit", { op: "credit", credits: [[key, "-5", 1]] }],
    ["credit for ever", { op: "credit", credits: [[key, "5", 1e300]] }],
    ["a prototype", JSON.parse('{"id":1,"op":"probe","__proto__":{"x":1}}')],
  ];
  for (const [name, request] of bad)
    test(`${name} is refused and nothing is done`, async () => {
      const { done, answers } = await told(JSON.stringify(request));
      assert.deepEqual(done, []);
      assert.equal(answers.length, 1);
      const [answer] = answers;
      assert.ok(answer && ("error" in answer ? answer.error.code === "MALFORMED" : "event" in answer && answer.event === "log"));
    });

  test("whatever else is sent is refused and nothing is done", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.record({ id: fc.jsonValue(), op: fc.string(), config: fc.jsonValue() }).map((value) => JSON.stringify(value)),
        ),
        async (line) => {
          const { done, answers } = await told(line);
          assert.deepEqual(done, []);
          assert.equal(answers.length, 1);
          assert.ok(JSON.stringify(answers).length < 1000);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("what fails is told by its code, and no more", async () => {
    const answers: Note[] = [];
    const fail = async () => {
      throw Object.assign(new Error("no"), { secret: key });
    };
    await dispatch('{"id":7,"op":"closeExit"}', { ask: fail, credit: () => undefined, beat: () => undefined }, (note) =>
      answers.push(note),
    );
    assert.deepEqual(answers, [{ id: 7, error: { code: "INTERNAL", message: "no" } }]);
  });
});

describe("wireguard helper: lines", (test) => {
  const reader = (max: number) => {
    const stream = new PassThrough();
    const lines: string[] = [];
    const ends: string[] = [];
    readLines(
      stream,
      max,
      (line) => lines.push(line),
      (reason) => ends.push(reason),
    );
    return { stream, lines, ends };
  };
  const turn = () => new Promise((done) => setImmediate(done));

  test("lines come whole, however they were cut", async () => {
    const { stream, lines, ends } = reader(100);
    for (const byte of Buffer.from("eins\nzwéi\n")) stream.write(Buffer.from([byte]));
    stream.end("rest");
    await turn();
    await turn();
    assert.deepEqual(lines, ["eins", "zwéi"]);
    assert.deepEqual(ends, ["the other side has ended"]);
  });

  test("a line that does not end is the end, and what follows counts for nothing", async () => {
    for (const text of [`${"x".repeat(lineMax + 1)}\nafter\n`, "y".repeat(lineMax + 1)]) {
      const { stream, lines, ends } = reader(lineMax);
      stream.write(text);
      stream.write("later\n");
      await turn();
      assert.deepEqual(lines, []);
      assert.deepEqual(ends, ["a line was too long"]);
    }
  });
});

describe("wireguard client: intent and fact", (test) => {
  const run = (...events: ClientEvent[]) => events.reduce(nextState, initialState);
  const problem = "why";

  test("secured, up, and released", () => {
    assert.deepEqual(run({ type: "securing", killSwitch: true }), { intent: "secured", fact: "securing" });
    assert.deepEqual(run({ type: "securing", killSwitch: true }, { type: "handshaking" }, { type: "up" }), {
      intent: "secured",
      fact: "up",
    });
    assert.deepEqual(
      run({ type: "securing", killSwitch: true }, { type: "handshaking" }, { type: "up" }, { type: "released" }),
      initialState,
    );
  });

  test("blocked keeps its reason, and loses it when it is up again", () => {
    const blocked = run({ type: "securing", killSwitch: true }, { type: "handshaking" }, { type: "blocked", problem });
    assert.deepEqual(blocked, { intent: "secured", fact: "blocked", problem });
    assert.deepEqual([{ type: "handshaking" }, { type: "up" }].reduce(nextState as never, blocked), { intent: "secured", fact: "up" });
  });

  test("that blocking has failed is said until it stands again", () => {
    const failed = run({ type: "securing", killSwitch: true }, { type: "unprotected", problem });
    assert.match(failed.problem ?? "", /does not stand: why/);
    assert.deepEqual(nextState(failed, { type: "protected" }), { intent: "secured", fact: "securing" });
  });

  test("without a kill switch a tunnel that is lost leaves nothing behind, and says so", () => {
    const up = run({ type: "securing", killSwitch: false }, { type: "handshaking" }, { type: "up" });
    assert.deepEqual(up, { intent: "unguarded", fact: "up" });
    assert.deepEqual(nextState(up, { type: "blocked", problem }), { intent: "unguarded", fact: "down", problem });
    assert.deepEqual(nextState(up, { type: "securing", killSwitch: true }), { intent: "secured", fact: "up" });
  });

  test("no event secures what was not asked to be", () => {
    for (const type of ["handshaking", "up", "blocked", "unprotected", "protected", "released"] as const)
      assert.deepEqual(nextState(initialState, { type, problem } as ClientEvent), initialState);
  });
});
