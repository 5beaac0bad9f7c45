import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { due } from "../../src/payments/terms.ts";
import { describe } from "../support/harness.ts";
import { makePlace, type Place, runCli, signal, startCli, until } from "../support/processes.ts";

const timeoutMs = 180_000;
const keys = [
  ...["v", "service", "backend", "country", "addressSeen", "exitAddress", "directAddress", "payloadBytes", "billedBytes", "elapsedMs"],
  ...["promises", "promised", "cleared", "providerReceived", "connectMs", "firstByteMs", "mbps", "sources"],
];
const once = (place: Place, ...more: string[]) => [
  "devnet",
  "--once",
  "--json",
  "--service",
  "proxy",
  "--data-dir",
  place.dataDir,
  ...more,
];

async function nothingLeft(place: Place) {
  assert.deepEqual(place.processes(), []);
  assert.deepEqual(await place.strays(), []);
  assert.deepEqual(await place.files(), []);
}

function checkReport(stdout: string, bytes: bigint) {
  const lines = stdout.split("\n");
  assert.equal(lines.length, 2, `one line on stdout:\n${stdout}`);
  const report = JSON.parse(lines[0] ?? "");
  for (const key of keys) assert.ok(key in report, `${key} in ${stdout}`);
  assert.equal(report.v, 1);
  assert.equal(report.service, "proxy");
  assert.equal(report.backend, "none");
  assert.equal(report.country, "US");
  assert.equal(report.payloadBytes, String(bytes));
  if (process.platform === "linux") {
    assert.equal(report.addressSeen, report.exitAddress);
    assert.notEqual(report.addressSeen, report.directAddress);
  }
  const terms = { perGiB: BigInt(report.terms.perGiB), perHour: BigInt(report.terms.perHour) };
  assert.equal(report.promised, String(due(terms, { bytes: BigInt(report.billedBytes), ms: report.elapsedMs })));
  assert.equal(report.cleared, report.promised);
  assert.equal(report.providerReceived, report.promised);
  assert.ok(BigInt(report.billedBytes) >= bytes && report.promises > 0 && report.sources.length > 0);
  return report;
}

/** the process of a part, by its pid file */
const pidOf = (directory: string, file: string): number => JSON.parse(readFileSync(join(directory, file), "utf8")).pid;
const runDirectory = (place: Place) => {
  const root = join(place.dataDir, "devnet");
  return join(root, readdirSync(root).find((name) => name.startsWith("once-")) ?? "");
};

describe("e2e/devnet (proxy): a whole cycle", (test) => {
  test(
    "finds, buys 64 MiB, clears, reports, and leaves nothing; twice",
    async () => {
      await using place = await makePlace();
      for (let run = 0; run < 2; run += 1) {
        const { status, stdout, stderr } = await runCli(once(place), place);
        assert.equal(status, 0, stderr);
        checkReport(stdout, 64n << 20n);
        await nothingLeft(place);
      }
    },
    { timeoutMs },
  );

  for (const source of ["gossip", "snapshot", "dht"])
    test(
      `finds the exit by ${source} alone`,
      async () => {
        await using place = await makePlace();
        const { status, stdout, stderr } = await runCli(once(place, "--discovery", source, "--bytes", "1MiB"), place);
        assert.equal(status, 0, stderr);
        assert.deepEqual(checkReport(stdout, 1n << 20n).sources, [source]);
        await nothingLeft(place);
      },
      { timeoutMs },
    );

  test(
    "Ctrl-C in the middle ends it with 130 and leaves nothing",
    async () => {
      await using place = await makePlace();
      const running = startCli(once(place, "--bytes", "1GiB"), place);
      await running.said(/a page through the exit/);
      running.child.kill("SIGINT");
      assert.equal(await running.ended, 130);
      await nothingLeft(place);
    },
    { timeoutMs },
  );
});

describe("e2e/devnet (proxy): kill -9", (test) => {
  test(
    "of the devnet itself: every part ends, and the next start clears the rest away",
    async () => {
      await using place = await makePlace();
      const running = startCli(once(place, "--bytes", "1GiB"), place);
      await running.said(/a page through the exit/);
      assert.ok(place.processes().length >= 6);
      running.child.kill("SIGKILL");
      await running.ended;
      await until(() => place.processes().length === 0, 20_000, `all to end, but ${JSON.stringify(place.processes())}`);
      assert.ok(existsSync(runDirectory(place)));
      const { status, stderr } = await runCli(once(place, "--bytes", "1MiB"), place);
      assert.equal(status, 0, stderr);
      await nothingLeft(place);
    },
    { timeoutMs },
  );

  for (const part of ["anvil.pid", "exit-us/node.pid", "consumer/node.pid"])
    test(
      `of ${part.split(/[./]/)[0]}: the devnet says so and ends, and nothing is left`,
      async () => {
        await using place = await makePlace();
        const running = startCli(once(place, "--bytes", "1GiB"), place);
        await running.said(/a page through the exit/);
        signal(pidOf(runDirectory(place), part), "SIGKILL");
        assert.equal(await running.ended, 1);
        assert.match(running.stderr(), /ended by itself/);
        await nothingLeft(place);
      },
      { timeoutMs },
    );
});

describe("e2e/devnet (proxy): staying up", (test) => {
  test(
    "Ctrl-C ends it well; killed, it goes on with the same keys and chain",
    async () => {
      await using place = await makePlace();
      const args = ["devnet", "--json", "--service", "proxy", "--bytes", "1MiB", "--data-dir", place.dataDir];
      const up = async () => {
        const running = startCli(args, place);
        await until(() => running.stdout().includes("\n") || running.child.exitCode !== null, 90_000, "a report");
        assert.equal(running.child.exitCode, null, running.stderr());
        const report = JSON.parse(running.stdout());
        assert.equal(report.error, undefined, running.stderr());
        return { running, report };
      };
      const first = await up();
      const second = await runCli(args, place);
      assert.equal(second.status, 1);
      assert.match(second.stderr, /DATA_DIR_LOCKED/);
      first.running.child.kill("SIGKILL");
      await first.running.ended;

      const again = await up();
      assert.equal(again.report.exitPeer, first.report.exitPeer);
      const guest = await runCli(["wallet", "--json", "--data-dir", again.report.guest], place);
      assert.equal(guest.status, 0, guest.stderr);
      assert.equal(JSON.parse(guest.stdout).deposit, String(10n ** 19n));
      signal(pidOf(join(place.dataDir, "devnet"), "exit-de/node.pid"), "SIGKILL");
      await again.running.said(/exit-de ended by itself/);
      again.running.child.kill("SIGINT");
      assert.equal(await again.running.ended, 0);
      assert.deepEqual(place.processes(), []);
      assert.deepEqual(await place.strays(), []);
      assert.deepEqual(
        (await place.files()).filter((name) => /\.sock$|\.pid$/.test(name)),
        [],
      );
    },
    { timeoutMs },
  );
});
