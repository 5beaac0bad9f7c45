import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import { createNftSession } from "../../../src/services/wireguard/helper/nft-session.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { openInternet } from "../support/internet.ts";
import { exitConfig, helperOf, type NodeSide, startNodeSide } from "./market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const sessions = 100;

/** numbers of processes and threads are given in order: what is started in between shows, whatever became of it */
const lastPid = () => Number(readFileSync("/proc/sys/kernel/ns_last_pid", "utf8"));

describe("helper: many sessions", (test, { before, after }) => {
  let exit: NodeSide;
  const keys = Array.from({ length: sessions }, () => makeKeyPair().publicKey);

  before(async () => {
    const host = openInternet(["exit"]).get("exit");
    assert.ok(host);
    const began = performance.now();
    exit = await startNodeSide(host);
    console.log(`helper started in ${Math.round(performance.now() - began)} ms with the process that starts it`);
    await exit.ask({ do: "openExit", config: exitConfig });
    const memory = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${helperOf(exit)}/status`, "utf8"))?.[1];
    console.log(`exit open after ${Math.round(performance.now() - began)} ms, the helper holds ${Math.round(Number(memory) / 1024)} MiB`);
  });
  after(() => exit?.signal("SIGKILL"));

  test(
    "no process is started for a session, for credit nor for its end",
    async () => {
      // the first credit starts the one nft that stays
      await exit.ask({ do: "admit", key: keys[0] ?? "" });
      await exit.ask({ do: "credit", credits: [[keys[0] ?? "", 1e6, 60_000]] });
      await until(async () => (await exit.ask({ do: "counters", key: keys[0] ?? "" })) !== undefined);
      await new Promise((done) => setTimeout(done, 200));
      const before = lastPid();
      const addresses = new Set<string>();
      for (const key of keys.slice(1)) addresses.add((await exit.ask({ do: "admit", key })).address);
      assert.equal(addresses.size, sessions - 1);
      for (let round = 1; round <= 10; round += 1)
        await exit.ask({ do: "credit", credits: keys.map((key) => [key, round * 1e6, round % 2 === 0 ? 0 : 60_000]) });
      for (const key of keys) await exit.ask({ do: "dismiss", key });
      const started = lastPid() - before;
      console.log(`${started} processes and threads for ${sessions} sessions`);
      // looking after the firewall's table, and forgetting connections of freed addresses, are for all sessions together
      assert.ok(started < sessions / 2, `${started} processes`);
    },
    { skip },
  );

  test(
    "a key that is known is refused, an unknown one as well",
    async () => {
      const [key = ""] = keys;
      await exit.ask({ do: "admit", key });
      await assert.rejects(exit.ask({ do: "admit", key }), { code: "PEER_REFUSED" });
      await exit.ask({ do: "dismiss", key });
      await assert.rejects(exit.ask({ do: "dismiss", key }), { code: "SESSION_UNKNOWN" });
      await assert.rejects(exit.ask({ do: "admit", key: "; reboot" }), { code: "MALFORMED" });
    },
    { skip },
  );

  test(
    "an address that was freed rests; when none is left the exit is full",
    async () => {
      let full: unknown;
      const given = new Set<string>();
      for (let i = 0; i < 300 && !full; i += 1)
        try {
          given.add((await exit.ask({ do: "admit", key: makeKeyPair().publicKey })).address);
        } catch (error) {
          full = error;
        }
      assert.equal((full as { code?: string })?.code, "EXIT_FULL");
      assert.ok(given.size >= 253 - sessions - 2 && given.size < 253);
    },
    { skip },
  );

  test(
    "configured by wg, sessions that come and go at once share a few processes",
    async () => {
      await exit.ask({ do: "closeExit" });
      await exit.ask({ do: "openExit", config: { ...exitConfig, backend: "wireguard-go-wg" } });
      await exit.ask({ do: "admit", key: keys[0] ?? "" });
      await exit.ask({ do: "credit", credits: [[keys[0] ?? "", 1e6, 60_000]] });
      await new Promise((done) => setTimeout(done, 200));
      const before = lastPid();
      const admitted = await Promise.all(keys.slice(1).map((key) => exit.ask({ do: "admit", key })));
      assert.equal(new Set(admitted.map(({ address }) => address)).size, sessions - 1);
      await exit.ask({ do: "credit", credits: keys.map((key) => [key, 1e6, 60_000]) });
      await Promise.all(keys.map((key) => exit.ask({ do: "dismiss", key })));
      const started = lastPid() - before;
      console.log(`${started} processes and threads for ${sessions} sessions by wg`);
      assert.ok(started < sessions / 2, `${started} processes`);
    },
    { skip },
  );

  test(
    "a quota is closed, emptied and filled through one nft",
    async () => {
      const { execFileSync } = await import("node:child_process");
      execFileSync("nft", ["-f", "-"], {
        input: `table inet probe { ${Array.from({ length: 200 }, (_, i) => `quota q${i} { over 0 bytes; }`).join("\n")}\n}\n`,
      });
      const nft = createNftSession("probe");
      try {
        await nft.limit(new Map([["q0", 1n]]));
        const times: number[] = [];
        for (let i = 1n; i <= 20n; i += 1n) {
          const began = performance.now();
          await nft.empty(["q1"]);
          await nft.limit(new Map([["q1", i * 1_000_000n]]));
          times.push(performance.now() - began);
        }
        console.log(`closed, emptied and filled in ${times.toSorted((a, b) => a - b)[10]?.toFixed(1)} ms (median of 20)`);
        const all = new Map(Array.from({ length: 200 }, (_, i) => [`q${i}`, BigInt(i + 7) << BigInt(i % 40)]));
        assert.deepEqual(await nft.limit(all), new Map([...all].map(([name, limit]) => [name, { used: 0n, limit }])));
        await assert.rejects(nft.empty(["none", "q 1"]));
        // and it goes on after a failure
        assert.equal((await nft.limit(new Map([["q3", 10n]]))).get("q3")?.limit, 10n);
      } finally {
        nft.close();
      }
    },
    { skip },
  );
});
