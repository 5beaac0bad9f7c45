import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { controls } from "./malformed.ts";
import { runMalformed } from "./support/malformed/run.ts";

const { signal } = new AbortController();
const seed = String(Date.now());
const [, hang] = controls;

describe(`fault/malformed: what no honest peer says (seed ${seed})`, (test) => {
  test(
    "on every topic, protocol and socket route: no crash, no hang, and an honest peer is answered",
    async () => {
      const found = await runMalformed({ runs: 3_000, mostMs: 60_000, seed }, signal, () => undefined);
      assert.deepEqual([found.crashes, found.hangs, found.failed], [0, [], []]);
      for (const kind of ["topic ", "question ", "frames ", "bytes ", "route ", "stream "])
        assert.ok(
          Object.keys(found.tried).some((name) => name.startsWith(kind)),
          `nothing was tried at a ${kind}`,
        );
    },
    { timeoutMs: 180_000 },
  );

  test(
    "the row would see it: one that never answers is told of",
    async () => {
      assert.ok(hang);
      assert.ok(hang.isSeen(await runMalformed({ ...hang, runs: 32, seed }, signal, () => undefined)));
    },
    { timeoutMs: 120_000 },
  );
});
