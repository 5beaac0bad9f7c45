import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { namespaceProblem } from "../../src/devnet/netns/probe.ts";
import { quantumBound } from "../../src/payments/quantum.ts";
import { due } from "../../src/payments/terms.ts";
import { describe } from "../support/harness.ts";
import { alive, differences, family, hostSnapshot, type ProcessEntry } from "../support/host-snapshot.ts";
import { makePlace, type Place, type Running, runCli, signal, startCli, until } from "../support/processes.ts";

const program = fileURLToPath(new URL("../../bin/mystnode.js", import.meta.url));
const problem = await namespaceProblem();
const required = process.env.MYSTNODE_REQUIRE_NETNS === "1";
const reason = problem && !required && `${problem.message}; with MYSTNODE_REQUIRE_NETNS=1 this fails`;
const timeoutMs = 240_000;
const options = { timeoutMs, skip: reason || false } as const;
const MiB = 1n << 20n;

const words = (place: Place, ...more: string[]) => ["devnet", "--json", "--service", "wireguard", "--data-dir", place.dataDir, ...more];
const once = (place: Place, bytes: string) => words(place, "--once", "--bytes", bytes);

/** Runs `work` and asserts that afterwards the machine is as it was, and everything that ran below `work`'s own processes has ended. */
async function leavingNothing(
  work: (place: Place, note: (running: Running) => ProcessEntry[]) => Promise<void>,
  kept = false,
): Promise<void> {
  await using place = await makePlace();
  const before = hostSnapshot();
  const seen: ProcessEntry[] = [];
  await work(place, (running) => {
    const now = family(running.child.pid ?? -1);
    seen.push(...now);
    return now;
  });
  await until(() => alive(seen).length === 0, 10_000, "all processes to end");
  assert.deepEqual(differences(before, hostSnapshot()), []);
  assert.deepEqual(place.processes(), []);
  assert.deepEqual(await place.strays(), []);
  if (!kept) assert.ok(!existsSync(place.dataDir), "a run that keeps nothing makes no directory on the host");
}

describe("e2e/devnet (namespaces): a whole cycle over WireGuard", (test) => {
  test("this machine can", () => assert.equal(problem?.message, undefined), { skip: required ? false : reason || false });

  test(
    "is seen as the exit, pays for what the router saw, sends nothing past the tunnel, and leaves nothing",
    () =>
      leavingNothing(async (place) => {
        const { status, stdout, stderr } = await runCli(once(place, "8MiB"), place);
        assert.equal(status, 0, stderr);
        assert.equal(stdout.split("\n").length, 2, `one line on stdout:\n${stdout}`);
        const report = JSON.parse(stdout);
        assert.equal(report.service, "wireguard");
        assert.match(report.backend, /^(kernel|wireguard-go(-wg)?)$/);
        assert.equal(report.addressSeen, "23.20.16.2");
        assert.equal(report.exitAddress, report.addressSeen);
        assert.equal(report.directAddress, "81.2.69.2");
        assert.equal(report.payloadBytes, String(8n * MiB));
        const terms = { perGiB: BigInt(report.terms.perGiB), perHour: BigInt(report.terms.perHour) };
        assert.equal(report.promised, String(due(terms, { bytes: BigInt(report.billedBytes), ms: report.elapsedMs })));
        for (const name of ["cleared", "providerReceived"]) assert.equal(report[name], report.promised, name);
        const [used, router, billed] = [report.usedBytes, report.routerBytes, report.billedBytes].map(BigInt) as [bigint, bigint, bigint];
        const off = used > router ? used - router : router - used;
        assert.ok(off * 100n <= router * 3n, `${used} used, ${router} at the router`);
        assert.ok(billed >= used && billed <= used + quantumBound(used), `${billed} bought, ${used} used`);
        assert.equal(report.outsidePackets, 0);
      }),
    options,
  );

  test(
    "Ctrl-C in the middle ends it with 130 and leaves nothing",
    () =>
      leavingNothing(async (place, note) => {
        const running = startCli(once(place, "1GiB"), place);
        await running.said(/a page through the exit/, 120_000);
        note(running);
        running.child.kill("SIGINT");
        assert.equal(await running.ended, 130);
      }),
    options,
  );
});

/** The parts of a running devnet, by what they are; of those that there are several of, any. */
const parts: [string, RegExp][] = [
  ["the command", /^\S*node \S*bin\/mystnode\.js devnet/],
  ["unshare", /^unshare --net/],
  ["the first process inside", /^sh -c "\$@"/],
  ["the devnet inside", /^\S*node \S*bin\/mystnode\.js devnet/],
  ["an exit", /mystnode\.js serve --service wireguard/],
  ["the consumer", /mystnode\.js connect/],
  ["a helper", /wireguard\/helper\//],
  ["a tunnel's process", /^wireguard-go/],
  ["the chain", /^\S*anvil /],
  ["a place's process", /^sh -c set -e/],
  ["the web site", /programs\/target/],
];
/** Some at a time: each takes a devnet of its own. */
const some = parts
  .map((part) => ({ part, order: Math.random() }))
  .sort((a, b) => a.order - b.order)
  .slice(0, 3)
  .map(({ part }) => part);

describe("e2e/devnet (namespaces): kill -9 at any time leaves nothing on the machine", (test) => {
  for (const [name, pattern] of some)
    test(
      `of ${name}`,
      () =>
        leavingNothing(async (place, note) => {
          const running = startCli(once(place, "1GiB"), place);
          const find = () => {
            const found = note(running).filter(({ command }) => pattern.test(command));
            return name === "the devnet inside" ? found.slice(1) : found;
          };
          await until(() => find().length > 0 || running.child.exitCode !== null, 120_000, name);
          // some moment later
          const moreMs = Math.random() * 4_000;
          await Promise.race([wait(moreMs), running.ended]);
          const chosen = find();
          const { pid = 0 } = chosen[Math.floor(Math.random() * chosen.length)] ?? {};
          console.log(`  ${name} is killed ${Math.round(moreMs)} ms after it was there`);
          signal(pid, "SIGKILL");
          // some parts are not missed at once; what is left then is ended as hard
          await Promise.race([running.ended, wait(5_000)]);
          note(running);
          running.child.kill("SIGKILL");
          await running.ended;
        }),
      options,
    );
});

describe("e2e/devnet (namespaces): staying up", (test) => {
  test(
    "others join by its shell; killed, it goes on with the same keys and chain",
    () =>
      leavingNothing(async (place, note) => {
        const up = async () => {
          const running = startCli(words(place, "--bytes", "1MiB"), place);
          await until(() => running.stdout().includes("\n") || running.child.exitCode !== null, 120_000, "a report");
          assert.equal(running.child.exitCode, null, running.stderr());
          note(running);
          const report = JSON.parse(running.stdout());
          assert.equal(report.error, undefined, running.stderr());
          return { running, report };
        };
        const first = await up();
        const second = await runCli(words(place), place);
        assert.equal(second.status, 1);
        assert.match(second.stderr, /DATA_DIR_LOCKED/);
        assert.match(shellOutput(place, "wget -qO- http://site.devnet 2>/dev/null || curl -s http://site.devnet"), /^82\.64\.7\.2$/m);
        first.running.child.kill("SIGKILL");
        await first.running.ended;

        const again = await up();
        assert.equal(again.report.exitPeer, first.report.exitPeer);
        assert.equal(readFileSync(again.report.network, "utf8").length > 0, true);
        const wallet = shellOutput(place, `${process.execPath} bin/mystnode.js wallet --json`);
        assert.equal(JSON.parse(wallet).deposit, String(10n ** 19n));
        again.running.child.kill("SIGTERM");
        assert.equal(await again.running.ended, 0);
        assert.deepEqual(
          (await place.files()).filter((name) => /\.sock$|\.pid$/.test(name)),
          [],
        );
      }, true),
    options,
  );
});

function shellOutput(place: Place, script: string): string {
  const shell = spawnSync(process.execPath, [program, "devnet", "shell", "--data-dir", place.dataDir], {
    cwd: join(program, "..", ".."),
    env: { ...place.env, SHELL: "/bin/sh" },
    input: `${script}\n`,
    encoding: "utf8",
  });
  assert.equal(shell.status, 0, shell.stderr);
  return shell.stdout;
}
