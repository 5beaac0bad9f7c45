import assert from "node:assert/strict";
import fc from "fast-check";
import { parseListen } from "../../../../src/services/proxy/local-server.ts";
import { headerCodec, maxHeader, prefixed, prefixedReader, toConsumerCodec, toExitCodec } from "../../../../src/services/proxy/protocol.ts";
import { isName } from "../../../../src/services/proxy/resolve.ts";
import { createUsage } from "../../../../src/services/proxy/usage.ts";
import { describe } from "../../../support/harness.ts";

const session = new Uint8Array(16).fill(7);
const header = { session, id: 3, host: "example.org", port: 443 };
const streamOf = (pieces: Uint8Array[]) => ({
  async *read() {
    yield* pieces;
  },
});
const readAll = async (pieces: Uint8Array[]) => {
  const reader = prefixedReader(streamOf(pieces), headerCodec, maxHeader);
  const first = await reader.first();
  const rest: number[] = [];
  for await (const bytes of reader.rest()) rest.push(...bytes);
  return { first, rest };
};

describe("services/proxy/protocol: header, reply, control", (test) => {
  test("a header and what follows it come out of any split of the bytes", async () => {
    const all = Uint8Array.from([...prefixed(headerCodec, header), 1, 2, 3, 4, 5]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(all.length), { maxLength: 8 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), all.length];
        const pieces = at.slice(1).map((end, i) => all.slice(at[i], end));
        assert.deepEqual(await readAll(pieces), { first: header, rest: [1, 2, 3, 4, 5] });
      }),
    );
  });

  test("the longest header there can be fits", () => {
    const longest = { session: new Uint8Array(16).fill(255), id: 0xffffffff, host: "x".repeat(255), port: 65_535 };
    assert.ok(headerCodec.encode(longest).length <= maxHeader);
  });

  test("what is longer, cut short or no header is MALFORMED", async () => {
    const good = prefixed(headerCodec, header);
    const bad: Uint8Array[][] = [
      [],
      [Uint8Array.of(1)],
      [good.slice(0, -1)],
      [Uint8Array.of(2, 1)],
      [Uint8Array.of(255, 255), new Uint8Array(70_000)],
      [Uint8Array.of(0, 0)],
      [Uint8Array.of(0, 3, 1, 2, 3)],
    ];
    for (const pieces of bad) await assert.rejects(readAll(pieces), { code: "MALFORMED" });
    for (const wrong of [
      { ...header, port: 0 },
      { ...header, host: "" },
      { ...header, host: "x".repeat(256) },
      { ...header, session: new Uint8Array(15) },
      { ...header, more: 1 },
    ])
      assert.throws(() => headerCodec.encode(wrong as typeof header));
  });

  test("random bytes are refused, and refused as MALFORMED only", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        for (const codec of [headerCodec, toExitCodec, toConsumerCodec]) {
          try {
            codec.decode(bytes);
          } catch (error) {
            assert.equal((error as { code: string }).code, "MALFORMED");
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("names", () => {
    for (const name of [
      "a",
      "example.org",
      "example.org.",
      "_dmarc.example.org",
      "xn--bcher-kva.example",
      "1.2.3",
      "0x7f.1",
      `${"a".repeat(63)}.b`,
    ])
      assert.ok(isName(name), name);
    for (const name of [
      "",
      ".",
      "a..b",
      "-a.b",
      "a-.b",
      "a b",
      "a/b",
      "bü.de",
      "a\n",
      `${"a".repeat(64)}.b`,
      "a.".repeat(130),
      "::1",
      "[::1]",
      "a:80",
    ])
      assert.ok(!isName(name), name);
  });

  test("where the SOCKS server may listen", () => {
    assert.deepEqual(parseListen("127.0.0.1:1080", false), { host: "127.0.0.1", port: 1080 });
    assert.deepEqual(parseListen("localhost:0", false), { host: "127.0.0.1", port: 0 });
    assert.deepEqual(parseListen("[::1]:1080", false), { host: "::1", port: 1080 });
    assert.deepEqual(parseListen("0.0.0.0:1080", true), { host: "0.0.0.0", port: 1080 });
    for (const text of [
      "0.0.0.0:1080",
      "[::]:1080",
      "192.168.1.2:1080",
      "[::ffff:192.168.1.2]:1",
      "",
      "1080",
      ":1080",
      "127.0.0.1",
      "127.0.0.1:99999",
      "example.org:1080",
    ])
      assert.throws(() => parseListen(text, false), { code: "BAD_VALUE" }, text);
  });

  test("usage: what was sent counts once the exit has carried it, told once a turn", async () => {
    const told: bigint[] = [];
    const usage = createUsage((bytes) => told.push(bytes));
    usage.sent(100);
    assert.equal(usage.usedBytes(), 0n);
    usage.carriedUp(60n);
    usage.received(5);
    usage.received(6);
    assert.equal(usage.usedBytes(), 71n);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, [71n]);
    usage.carriedUp(50n);
    usage.carriedUp(2n ** 60n);
    assert.equal(usage.usedBytes(), 111n);
    usage.sent(10);
    assert.equal(usage.usedBytes(), 111n);
  });
});
