import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe } from "./harness.ts";
import { type Outcome, runCommand, runFile } from "./run-file.ts";

const harness = pathToFileURL(join(import.meta.dirname, "harness.ts"));

/** The outcome of a test file with this text. */
async function outcomeOf(text: string, limitMs = 20_000): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), "run-"));
  try {
    const file = join(directory, "some.test.ts");
    await writeFile(file, `import { describe } from ${JSON.stringify(harness.href)};\n${text}\n`);
    return await runFile(directory, file, limitMs);
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe("support/run: what counts as a failure", (test) => {
  test("nothing does where all is well", async () => {
    const { count } = await outcomeOf(`describe("a", (test) => { test("x", () => {}); test("y", async () => {}); });`);
    assert.deepEqual(count, { passed: 2, failed: 0, skipped: 0 });
  });
  test("a test that throws; the others still run", async () => {
    const { count, output } = await outcomeOf(
      `describe("a", (test) => { test("x", () => { throw Object.assign(new Error("no"), { code: "SOME_CODE" }); }); test("y", () => {}); });`,
    );
    assert.deepEqual(count, { passed: 1, failed: 1, skipped: 0 });
    assert.match(output, /code: SOME_CODE/);
  });
  test("a difference of bigints, shown as such", async () => {
    const { count, output } = await outcomeOf(
      `import assert from "node:assert/strict"; describe("a", (test) => { test("x", () => assert.deepEqual({ a: 1n }, { a: 2n })); });`,
    );
    assert.equal(count.failed, 1);
    assert.match(output, /a: 1n/);
  });
  const faults: [name: string, text: string, seen: RegExp][] = [
    ["a file that ends before it can count", `process.reallyExit(0)`, /ran no test/],
    ["a file that describes nothing", `export {}`, /no test ran/],
    ["a suite without a test", `describe("a", () => {});`, /no test in this suite/],
    ["a test that never ends", `describe("a", (test) => { test("x", () => new Promise(() => {}), { timeoutMs: 50 }); });`, /50 ms/],
    [
      "a before that throws",
      `describe("a", (test, { before }) => { before(() => { throw new Error("no"); }); test("x", () => {}); });`,
      /no/,
    ],
    [
      "an after that throws",
      `describe("a", (test, { after }) => { after(() => { throw new Error("no"); }); test("x", () => {}); });`,
      /after:/,
    ],
    ["an exit in mid-test", `describe("a", (test) => { test("x", () => process.exit(0)); });`, /early/],
    ["an unhandled rejection", `describe("a", (test) => { test("x", () => { Promise.reject(new Error("loose")); }); });`, /loose/],
    [
      "a file left behind",
      `import { mkdtempSync } from "node:fs"; import { tmpdir } from "node:os"; mkdtempSync(tmpdir() + "/x-"); describe("a", (test) => { test("x", () => {}); });`,
      /left files behind/,
    ],
    [
      "a process left behind",
      `import { spawn } from "node:child_process"; spawn("sleep", ["20"], { stdio: "ignore" }).unref(); describe("a", (test) => { test("x", () => {}); });`,
      /left a process behind/,
    ],
    [
      "a server left open",
      `import { createServer } from "node:net"; createServer().listen(0); describe("a", (test) => { test("x", () => {}); });`,
      /still open/,
    ],
  ];
  for (const [name, text, seen] of faults)
    test(name, async () => {
      const { count, output, problems } = await outcomeOf(text);
      assert.ok(count.failed > 0, output);
      assert.match(output + problems.join("\n"), seen);
    });
  test("nothing does that is only a setting of who runs it", async () => {
    const kept = process.env.NO_COLOR;
    process.env.NO_COLOR = "1";
    process.env.MYSTNODE_NETWORK = "elsewhere";
    try {
      const seen = `"NO_COLOR" in process.env || "MYSTNODE_NETWORK" in process.env`;
      const { count } = await outcomeOf(`describe("a", (test) => { test("x", () => { if (${seen}) throw new Error("seen"); }); });`);
      assert.deepEqual(count, { passed: 1, failed: 0, skipped: 0 });
    } finally {
      delete process.env.MYSTNODE_NETWORK;
      if (kept === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = kept;
    }
  });
  test("by itself a file ends with 1 where only a hook failed", async () => {
    const directory = await mkdtemp(join(tmpdir(), "run-"));
    const file = join(directory, "some.test.ts");
    const after = `after(() => { throw new Error("no"); })`;
    const text = `describe("a", (test, { after }) => { ${after}; test("x", () => {}); });`;
    await writeFile(file, `import { describe } from ${JSON.stringify(harness.href)};\n${text}\n`);
    assert.equal((await runCommand([process.execPath, file], { cwd: directory, limitMs: 20_000 })).status, 1);
    await rm(directory, { recursive: true });
  });
  test("a file that overstays its limit", async () => {
    const { count, problems } = await outcomeOf(`describe("a", (test) => { test("x", () => new Promise(() => {})); });`, 500);
    assert.ok(count.failed > 0);
    assert.match(problems.join("\n"), /did not end within 0.5 s/);
  });
});
