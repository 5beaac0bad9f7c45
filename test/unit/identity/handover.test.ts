import assert from "node:assert/strict";
import fc from "fast-check";
import { z } from "zod";
import { maxHandoverBytes, openHandover, readHandover, signHandover } from "../../../src/identity/handover.ts";
import { signRecord } from "../../../src/identity/record.ts";
import { cborCodec } from "../../../src/lib/codec.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { identity, market, startMs } from "../discovery/offers.ts";

const [alice, bob, carol] = [identity(1), identity(2), identity(3)] as const;
const coded = (code: "MALFORMED" | "BAD_SIGNATURE") => (error: unknown) => isMystError(error, code);

describe("identity/handover", (test) => {
  test("is read as it was signed, by both keys, for one network", () => {
    const bytes = signHandover(alice, bob, market, startMs);
    assert.ok(bytes.byteLength <= maxHandoverBytes);
    assert.deepEqual(openHandover(bytes, market), { from: alice.peerId, to: bob.peerId, atMs: startMs });
    assert.throws(() => openHandover(bytes, { ...market, chainId: 1 }), coded("BAD_SIGNATURE"));
    assert.throws(() => readHandover(signHandover(alice, alice, market, startMs)), coded("MALFORMED"));
  });

  test("neither key alone can make one, nor somebody else", () => {
    const envelope = cborCodec(
      z.strictObject({ body: z.custom<Uint8Array>(), from: z.custom<Uint8Array>(), to: z.custom<Uint8Array>() }),
      1000,
    );
    const { body } = envelope.decode(signHandover(alice, bob, market, startMs));
    const by = (from: typeof alice, to: typeof alice) =>
      envelope.encode({
        body,
        from: signRecord(from, { kind: "handover", network: market }, body),
        to: signRecord(to, { kind: "handover", network: market }, body),
      });
    assert.doesNotThrow(() => openHandover(by(alice, bob), market));
    for (const [from, to] of [
      [alice, alice],
      [bob, bob],
      [carol, bob],
      [alice, carol],
      [bob, alice],
    ] as const)
      assert.throws(() => openHandover(by(from, to), market), coded("BAD_SIGNATURE"));
  });

  test("any byte that is another makes it none; bytes that are none are refused and nothing else", () => {
    const bytes = signHandover(alice, bob, market, startMs);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(
        () => openHandover(changed, market),
        (error) => coded("MALFORMED")(error) || coded("BAD_SIGNATURE")(error),
        `byte ${at}`,
      );
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => assert.throws(() => openHandover(bytes, market), coded("MALFORMED"))),
    );
  });
});
