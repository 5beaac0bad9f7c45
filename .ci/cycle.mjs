// Checks what 'npm -s start -- --once --json' printed: one JSON object and nothing else, whose figures agree.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const text = readFileSync(process.argv[2], "utf8");
assert.equal(text.trimEnd().split("\n").length, 1, "one line");
const cycle = JSON.parse(text);
const amount = (name) => {
  assert.match(cycle[name], /^\d+$/, name);
  return BigInt(cycle[name]);
};
assert.equal(cycle.v, 1);
assert.equal(cycle.service, "proxy");
assert.equal(cycle.country, "US");
assert.equal(cycle.addressSeen, cycle.exitAddress);
assert.notEqual(cycle.addressSeen, cycle.directAddress);
assert.ok(amount("payloadBytes") >= 64n << 20n, "64 MiB");
assert.ok(amount("billedBytes") >= amount("payloadBytes"), "all of it bought");
assert.ok(amount("promised") > 0n);
assert.equal(amount("cleared"), amount("promised"));
assert.equal(amount("providerReceived"), amount("cleared"));
for (const name of ["elapsedMs", "promises", "connectMs", "firstByteMs", "mbps"]) assert.ok(cycle[name] > 0, name);
assert.ok(cycle.sources.length > 0);
