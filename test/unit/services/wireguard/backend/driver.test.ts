import assert from "node:assert/strict";
import { wgDriver } from "../../../../../src/services/wireguard/backend/driver.ts";
import { makeKeyPair } from "../../../../../src/services/wireguard/backend/keys.ts";
import { describe } from "../../../../support/harness.ts";

/** A `wg` that takes its time, and what it was run with. */
function slowWg(fails: (input: string) => boolean = () => false) {
  const runs: { args: string[]; input: string }[] = [];
  const run = async (_: string, args: string[], { input = "" }: { input?: string } = {}): Promise<string> => {
    runs.push({ args, input });
    await new Promise((done) => setTimeout(done, 5));
    if (fails(input)) throw new Error("wg failed");
    return args[0] === "show" ? `private\tpublic\t${runs.length}\toff\n` : "";
  };
  return { runs, driver: wgDriver("nowhere0", run) };
}
const keys = Array.from({ length: 100 }, () => makeKeyPair().publicKey);
const adding = (key: string) => ({ do: "add" as const, peer: { publicKey: key, allowedIps: ["10.0.0.2/32"] } });

describe("wg as a driver: what comes at once shares a process", (test) => {
  test("changes, in their order; a peer that is there already waits for the next", async () => {
    const { runs, driver } = slowWg();
    await Promise.all(keys.map((key) => driver.apply([adding(key)])));
    assert.ok(runs.length <= 2, `${runs.length} processes for ${keys.length} peers`);
    assert.deepEqual(
      runs.flatMap(({ input }) => [...input.matchAll(/PublicKey = (\S+)/g)].map(([, key]) => key)),
      keys,
    );
    runs.length = 0;
    const [one = "", two = ""] = keys;
    await Promise.all([
      driver.apply([adding(one)]),
      driver.apply([{ do: "remove", key: two }]),
      driver.apply([{ do: "remove", key: one }]),
      driver.apply([adding(two)]),
    ]);
    assert.deepEqual(
      runs.map(({ args }) => args[0]),
      ["addconf", "set", "addconf", "set"],
    );
    assert.ok(runs[0]?.input.includes(one) && runs[1]?.args.includes(two) && runs[2]?.input.includes(two) && runs[3]?.args.includes(one));
  });

  test("one that is refused is refused alone", async () => {
    const [bad = ""] = keys;
    const { driver } = slowWg((input) => input.includes(bad));
    const ended = await Promise.allSettled(keys.slice(0, 9).map((key) => driver.apply([adding(key)])));
    assert.deepEqual(
      ended.map(({ status }) => status === "rejected"),
      keys.slice(0, 9).map((key) => key === bad),
    );
  });

  test("questions, and none is answered with what was so before it was asked", async () => {
    const { runs, driver } = slowWg();
    const first = driver.read();
    await Promise.resolve();
    const others = await Promise.all(keys.map(() => driver.read()));
    assert.equal(runs.length, 2);
    assert.equal((await first).listenPort, 1);
    assert.ok(others.every(({ listenPort }) => listenPort === 2));
  });
});
