// Checks what 'npm -s start -- --once --json' printed: one JSON object and nothing else, whose figures agree.
// node cycle.mjs FILE [wireguard|proxy]: the service that it must have been
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [file, service = "proxy"] = process.argv.slice(2);
const text = readFileSync(file, "utf8");
assert.equal(text.trimEnd().split("\n").length, 1, "one line");
const cycle = JSON.parse(text);
const amount = (name) => {
  assert.match(cycle[name], /^\d+$/, name);
  return BigInt(cycle[name]);
};
assert.equal(cycle.v, 1);
assert.equal(cycle.service, service);
assert.equal(cycle.country, "US");
assert.equal(cycle.addressSeen, cycle.exitAddress);
assert.notEqual(cycle.addressSeen, cycle.directAddress);
assert.ok(amount("payloadBytes") >= 64n << 20n, "64 MiB");
assert.ok(amount("billedBytes") >= amount("payloadBytes"), "all of it bought");
assert.ok(amount("billedBytes") >= amount("usedBytes"), "all that was used was bought");
assert.ok(amount("promised") > 0n);
assert.equal(amount("cleared"), amount("promised"));
assert.equal(amount("providerReceived"), amount("cleared"));
for (const name of ["elapsedMs", "promises", "connectMs", "firstByteMs", "mbps"]) assert.ok(cycle[name] > 0, name);
assert.ok(cycle.sources.length > 0);
if (service === "proxy") assert.equal(cycle.backend, "none");
else {
  assert.match(cycle.backend, /^(kernel|wireguard-go|wireguard-go-wg)$/);
  const [used, router] = [amount("usedBytes"), amount("routerBytes")];
  assert.ok((used > router ? used - router : router - used) * 100n <= router * 3n, "within 3 % of what the router saw");
  assert.equal(cycle.outsidePackets, 0, "nothing past the tunnel");
}
