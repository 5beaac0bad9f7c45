import assert from "node:assert/strict";
import fc from "fast-check";
import { newSocks, replyBytes, type SocksEvent, stepSocks } from "../../../../src/services/proxy/socks.ts";
import { describe } from "../../../support/harness.ts";

const greeting = [5, 1, 0];
const ipv4 = [5, 1, 0, 1, 93, 184, 216, 34, 1, 187];
const name = (text: string, port = 443) => [5, 1, 0, 3, text.length, ...Buffer.from(text, "latin1"), port >> 8, port & 255];
const ipv6 = [5, 1, 0, 4, 0x26, 6, 0x47, 0, ...Array(11).fill(0), 0x11, 0, 80];

/** What comes of bytes that arrive in these pieces. */
function run(...pieces: number[][]): SocksEvent[] {
  let state = newSocks;
  return pieces.flatMap((piece) => {
    const step = stepSocks(state, Uint8Array.from(piece));
    state = step.state;
    return step.events;
  });
}
const kinds = (events: SocksEvent[]) => events.map((event) => (event.type === "answer" ? `answer ${event.bytes.join(" ")}` : event.type));
const connectOf = (events: SocksEvent[]) => {
  const last = events.at(-1);
  assert.equal(last?.type, "connect");
  const { host, port, rest } = last as Extract<SocksEvent, { type: "connect" }>;
  return { host, port, rest: [...rest] };
};

describe("services/proxy/socks: the server's handshake", (test) => {
  test("IPv4, IPv6 and names", () => {
    assert.deepEqual(connectOf(run(greeting, ipv4)), { host: "93.184.216.34", port: 443, rest: [] });
    assert.deepEqual(connectOf(run(greeting, ipv6)), { host: "2606:4700::11", port: 80, rest: [] });
    assert.deepEqual(connectOf(run(greeting, name("example.org"))), { host: "example.org", port: 443, rest: [] });
    assert.deepEqual(connectOf(run(greeting, name("x".repeat(255)))), { host: "x".repeat(255), port: 443, rest: [] });
  });

  test("UDP ASSOCIATE, with the port of one's own or without", () => {
    for (const port of [0, 5353])
      assert.deepEqual(run(greeting, [5, 3, 0, 1, 0, 0, 0, 0, port >> 8, port & 255]).at(-1), { type: "associate", port });
    assert.deepEqual([...replyBytes(0, { host: "127.0.0.1", port: 258 })], [5, 0, 0, 1, 127, 0, 0, 1, 1, 2]);
    assert.deepEqual([...replyBytes(0, { host: "::1", port: 1 })], [5, 0, 0, 4, ...Array(15).fill(0), 1, 0, 1]);
  });

  test("every split of the bytes in two gives the same, and so does every byte by itself", () => {
    for (const request of [ipv4, ipv6, name("example.org")]) {
      const all = [...greeting, ...request, 1, 2, 3];
      const whole = connectOf(run(all));
      assert.deepEqual(whole.rest, [1, 2, 3]);
      for (let at = 0; at < all.length - 3; at += 1) {
        const split = connectOf(run(all.slice(0, at), all.slice(at)));
        assert.deepEqual(split, whole, `split at ${at}`);
      }
      assert.deepEqual(connectOf(run(...all.slice(0, -3).map((byte) => [byte]))), { ...whole, rest: [] });
    }
  });

  test("any split of any request gives what the whole gives", () => {
    const bytes = fc.oneof(
      fc.domain().map((host) => [...greeting, ...name(host)]),
      fc.uint8Array({ maxLength: 300 }).map((array) => [...array]),
      fc.uint8Array({ maxLength: 300 }).map((array) => [...greeting, ...array]),
      fc.uint8Array({ maxLength: 300 }).map((array) => [...greeting, 5, 1, 0, ...array]),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(320), { maxLength: 12 }), (all, cuts) => {
        const at = [0, ...cuts.filter((cut) => cut <= all.length).sort((a, b) => a - b), all.length];
        const pieces = at.slice(1).map((end, i) => all.slice(at[i], end));
        const show = (events: SocksEvent[]) => events.map((event) => (event.type === "connect" ? { ...event, rest: undefined } : event));
        assert.deepEqual(show(run(...pieces)), show(run(all)));
      }),
      { numRuns: 2000 },
    );
  });

  test("it never holds more than one message, and takes nothing after its end", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 8 }), (pieces) => {
        let state = newSocks;
        let over = false;
        for (const piece of [Uint8Array.from([5]), ...pieces]) {
          const step = stepSocks(state, piece);
          if (over) assert.deepEqual(step.events, []);
          state = step.state;
          over ||= state.phase === "done";
          assert.ok(state.held.length < 4 + 1 + 255 + 2);
          assert.equal(over, step.events.some((event) => event.type !== "answer") || over);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("refusals, each with the answer that RFC 1928 has for it", () => {
    assert.deepEqual(kinds(run([4, 1])), ["refuse"]);
    assert.deepEqual(kinds(run([...Buffer.from("GET / HTTP/1.1")])), ["refuse"]);
    assert.deepEqual(kinds(run([5, 1, 2])), ["answer 5 255", "refuse"]);
    assert.deepEqual(kinds(run([5, 0])), ["answer 5 255", "refuse"]);
    assert.deepEqual(kinds(run([5, 3, 2, 1, 0])), ["answer 5 0"]);
    const answered = (...request: number[]) => kinds(run(greeting, request)).slice(1);
    const reply = (code: number) => [`answer ${replyBytes(code).join(" ")}`, "refuse"];
    assert.deepEqual(answered(5, 2, 0, 1, 1, 1, 1, 1, 0, 80), reply(7), "BIND");
    assert.deepEqual(answered(5, 1, 0, 2, 1, 1, 1, 1, 0, 80), reply(8), "an address type");
    assert.deepEqual(answered(4, 1), reply(1), "another version");
    assert.deepEqual(answered(...ipv4.slice(0, 8), 0, 0), reply(1), "port 0");
    assert.deepEqual(answered(...name("")), reply(1), "an empty name");
    assert.deepEqual(answered(...name("a b")), reply(1), "a blank");
    assert.deepEqual(answered(...name("bü")), reply(1), "not ASCII");
    assert.deepEqual(answered(...name("a\0.b")), reply(1), "a NUL");
  });

  test("an IPv4 address in IPv6 clothes is passed on as such, for the exit to judge", () => {
    const mapped = [5, 1, 0, 4, ...Array(10).fill(0), 255, 255, 127, 0, 0, 1, 0, 80];
    assert.equal(connectOf(run(greeting, mapped)).host, "::ffff:7f00:1");
  });
});
