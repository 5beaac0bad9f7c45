import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { deployNetwork } from "../../src/chain/deploy.ts";
import { type Anvil, startAnvil } from "../../src/devnet/anvil.ts";
import { ask, fund } from "../../src/devnet/funding.ts";
import { openHandover } from "../../src/identity/handover.ts";
import { keptHandovers } from "../../src/identity/retiring.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { type NetworkConfig, networkText } from "../../src/lib/network-config.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { describe } from "../support/harness.ts";
import { makePlace, type Place, runCli, startCli } from "../support/processes.ts";
import { words, write } from "./turns.ts";

const myst = 10n ** 18n;
const threeDays = 3 * 86_400 + 60;

describe("e2e/retire: a key that has lost its ledger", (register, { before, after }) => {
  const test: typeof register = (name, work) => register(name, work, { timeoutMs: 120_000 });
  let place: Place;
  let anvil: Anvil;
  let network: NetworkConfig;

  before(async () => {
    place = await makePlace();
    anvil = await startAnvil({ log: silentLogger });
    network = await deployNetwork({ rpc: anvil.rpc, name: "test" });
    write(place, { "net.json": networkText(network) });
  });
  after(async () => {
    await anvil.stop();
    assert.deepEqual(place.processes(), []);
    await place[Symbol.asyncDispose]();
  });

  const tried = (line: string) => runCli([...words(place, line), "--json"], place);
  const run = async (line: string) => {
    const ended = await tried(line);
    assert.equal(ended.status, 0, `mystnode ${line}\n${ended.stdout}${ended.stderr}`);
    return JSON.parse(ended.stdout.trimEnd().split("\n").at(-1) ?? "");
  };
  /** a data directory with 5 on deposit, a bond of 1 and 44 in the wallet, whose database is lost */
  const lost = async (directory: string) => {
    const at = `--data-dir $${directory}`;
    const { address, peer, keystore } = await run(`init --network $net.json ${at}`);
    await fund(anvil.rpc, network, address, 50n * myst);
    await run(`wallet deposit 5myst --yes ${at}`);
    const identity = join(keystore, "..");
    rmSync(join(identity, "..", "db"), { recursive: true });
    return { at, address: address as Hex, peer: peer as string, identity };
  };
  const gas = (address: Hex) => fund(anvil.rpc, network, address, 0n);

  test("closes its account and goes on with a new one in one step; again it changes nothing; later all is taken out", async () => {
    const { at, address, peer, identity } = await lost("one");
    const done = await run(`wallet retire --yes ${at}`);
    assert.equal(done.retired, address);
    assert.notEqual(done.address, address);
    assert.notEqual(done.peer, peer);
    assert.deepEqual([done.tokens, done.missing], [String(44n * myst), "0"]);
    assert.ok(existsSync(done.keystore) && (statSync(done.keystore).mode & 0o777) === 0o600);
    assert.equal((await run(`identity ${at}`)).address, done.address);

    const again = await run(`wallet retire --yes ${at}`);
    assert.deepEqual([again.retired, again.address, again.closeAtMs], [address, done.address, done.closeAtMs]);
    assert.deepEqual(readdirSync(join(identity, "retired")).sort(), [`${address}.handover`, `${address}.json`]);

    const early = await tried(`wallet withdraw --yes ${at}`);
    assert.match(early.stderr, /ACCOUNT_CLOSING[\s\S]*wallet withdraw/);
    await gas(done.address);
    await run(`wallet deposit 5myst --yes ${at}`);
    const shown = await run(`wallet ${at}`);
    assert.equal(shown.deposit, String(5n * myst));
    const left = { signer: address, deposit: String(5n * myst), bond: String(myst), closeAtMs: done.closeAtMs };
    assert.deepEqual(shown.retired, [left]);

    await ask(anvil.rpc, "evm_increaseTime", [threeDays]);
    await ask(anvil.rpc, "evm_mine", []);
    const taken = await run(`wallet withdraw --yes --for ${address} ${at}`);
    assert.equal(taken.withdrawn, String(6n * myst));
    const after = await run(`wallet ${at}`);
    assert.deepEqual([after.tokens, after.retired], [String((44n - 6n + 6n) * myst), undefined]);
  });

  test("one that is killed while its account closes is gone on with: one close, one new key", async () => {
    const { at, address, identity } = await lost("two");
    await ask(anvil.rpc, "evm_setAutomine", [false]);
    const running = startCli(words(place, `wallet retire --yes ${at}`), place);
    await running.said(/close sent, waiting for its block\n +0x[0-9a-f]{64}\n/);
    const [, hash = ""] = /(0x[0-9a-f]{64})/.exec(running.stderr()) ?? [];
    running.child.kill("SIGKILL");
    await running.ended;
    assert.equal((await run(`identity ${at}`)).address, address, "the old key stays until all is done with it");
    const next = readdirSync(identity).filter((name) => name === "next.json");
    assert.deepEqual(next, ["next.json"]);
    await ask(anvil.rpc, "evm_setAutomine", [true]);
    await ask(anvil.rpc, "evm_mine", []);
    const ended = await runCli(words(place, `wallet retire --yes ${at}`), place);
    assert.equal(ended.status, 0, ended.stderr);
    const receipt = (await ask(anvil.rpc, "eth_getTransactionReceipt", [hash])) as { status: string };
    assert.equal(receipt.status, "0x1");
    assert.ok(!existsSync(join(identity, "next.json")) && existsSync(join(identity, "retired", `${address}.json`)));
    const { retired, tokens, unfinished } = await run(`wallet ${at}`);
    assert.deepEqual([retired.length, tokens, unfinished], [1, String(44n * myst), undefined]);
  });

  test("a key is rotated without anything being wrong with it; what it has signed of the new one is told to peers", async () => {
    const at = "--data-dir $four";
    const { address, peer } = await run(`init --network $net.json ${at}`);
    const done = await run(`identity rotate --yes ${at}`);
    assert.deepEqual([done.retired, (await run(`identity ${at}`)).address], [address, done.address]);
    const again = await run(`identity rotate --yes ${at}`);
    assert.equal(again.retired, done.address);
    const kept = await keptHandovers(join(place.root, "four"));
    const opened = kept.map((bytes) => openHandover(bytes, network)).sort((a, b) => a.atMs - b.atMs);
    assert.deepEqual(
      opened.map(({ from, to }) => [from, to]),
      [
        [peer, done.peer],
        [done.peer, again.peer],
      ],
    );
  });

  test("what is said when there is nothing to retire, or a node runs, or nobody has agreed", async () => {
    const at = "--data-dir $three";
    const { address } = await run(`init --network $net.json ${at}`);
    assert.match((await tried(`wallet retire --yes ${at}`)).stderr, /NO_DEPOSIT[\s\S]*nothing to retire/);
    await fund(anvil.rpc, network, address, 10n * myst);
    await run(`wallet deposit 5myst --yes ${at}`);
    assert.match((await tried(`wallet retire ${at}`)).stderr, /--yes/);
    const serving = startCli(words(place, `serve --service none --listen 127.0.0.1:0 --json ${at}`), place);
    await serving.said(/"type":"serving"/);
    assert.match((await tried(`wallet retire --yes ${at}`)).stderr, /DATA_DIR_LOCKED[\s\S]*end it first/);
    serving.child.kill("SIGTERM");
    assert.equal(await serving.ended, 0, serving.stderr());
    assert.equal((await run(`identity ${at}`)).address, address);
  });
});
