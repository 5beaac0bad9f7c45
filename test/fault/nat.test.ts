import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type Grid, noRelay, openGrid } from "./support/nat/grid.ts";

const skip = enterNamespaces(import.meta.filename);

describe("fault/nat: two ends behind NAT find a way to each other", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 90_000 });
  let grid: Grid;
  before(
    async () => {
      grid = await openGrid(["restricted", "symmetric"], ["symmetric"]);
    },
    { timeoutMs: 120_000 },
  );
  after(async () => grid[Symbol.asyncDispose]());

  test("each NAT is of its kind, as its packets show", async () => {
    for (const kind of ["restricted", "symmetric"] as const) assert.equal(await grid.kindOf("consumer", kind), kind);
    assert.equal(await grid.kindOf("exit", "symmetric"), "symmetric");
  });

  test("one whose NAT lets in whom it has sent to goes straight to an exit that is seen elsewhere by everybody", async () => {
    const { why, way, page } = await grid.meet({ consumer: "restricted", exit: "symmetric" }, noRelay);
    assert.deepEqual([way, page], ["punched", true], why);
  });

  test("two such do not meet by themselves, and do through a relay that is paid for", async () => {
    const pair = { consumer: "symmetric", exit: "symmetric" } as const;
    const alone = await grid.meet(pair, noRelay);
    assert.match(alone.why ?? alone.way, /no relay reaches it/);
    const { why, way, page, paid } = await grid.meet(pair);
    assert.deepEqual([way, page], ["relayed", true], why);
    assert.ok(BigInt(paid ?? 0) > 0n, "the relay was paid");
  });

  const hopeless = { consumer: "symmetric", exit: "symmetric" } as const;
  test("a router that maps ports has one reached straight that would not be met; what it was told is taken back", async () => {
    await using exit = await grid.mapped("symmetric", "upnp");
    const { mapping } = exit.serving;
    assert.equal(mapping?.state, "announced", mapping?.why);
    assert.ok(
      exit.addresses.some((one) => one.startsWith(`/ip4/${mapping.outside}/tcp/4480/p2p/`)),
      exit.addresses.join(),
    );
    assert.match(exit.forwards(), /tcp dport 4480 .*\n.*udp dport 51820 /);
    const { why, way, page } = await grid.meet(hopeless, noRelay);
    assert.deepEqual([way, page], ["direct", true], why);
    // what it maps may lead nowhere all the same
    exit.forgets();
    const met = await grid.meet({ consumer: "restricted", exit: "symmetric" }, noRelay);
    assert.deepEqual([met.way, met.page], ["punched", true], met.why);
    await grid.end();
    assert.doesNotMatch(exit.forwards(), /dport/);
  });

  test("a router that says another address than it is seen at has nothing announced", async () => {
    await using exit = await grid.mapped("symmetric", "pmp", "45.200.0.9");
    assert.equal(exit.serving.mapping?.state, "none");
    assert.doesNotMatch(exit.forwards(), /dport/);
    assert.match(exit.serving.mapping?.why ?? "", /another NAT/);
    assert.deepEqual(
      exit.addresses.filter((address) => !address.includes("/p2p-circuit/") && !address.startsWith("/ip4/192.168.")),
      [],
    );
  });
});
