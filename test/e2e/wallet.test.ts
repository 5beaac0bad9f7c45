import assert from "node:assert/strict";
import { deployNetwork } from "../../src/chain/deploy.ts";
import { type Anvil, startAnvil } from "../../src/devnet/anvil.ts";
import { ask, fund } from "../../src/devnet/funding.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { type NetworkConfig, networkText } from "../../src/lib/network-config.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { describe } from "../support/harness.ts";
import { makePlace, type Place, type Running, runCli, startCli, until } from "../support/processes.ts";
import { words, write } from "./turns.ts";

const myst = 10n ** 18n;
const wallet: Hex = `0x${"a1".repeat(20)}`;

describe("e2e/wallet: the commands", (register, { before, after }) => {
  const test: typeof register = (name, work) => register(name, work, { timeoutMs: 120_000 });
  let place: Place;
  let anvil: Anvil;
  let network: NetworkConfig;

  before(async () => {
    place = await makePlace();
    anvil = await startAnvil({ log: silentLogger });
    network = await deployNetwork({ rpc: anvil.rpc, name: "test" });
    write(place, { "net.json": networkText(network) });
    await ask(anvil.rpc, "anvil_impersonateAccount", [wallet]);
    await fund(anvil.rpc, network, wallet, 100n * myst);
  });
  after(async () => {
    await anvil.stop();
    assert.deepEqual(place.processes(), []);
    await place[Symbol.asyncDispose]();
  });

  const run = async (line: string) => {
    const ended = await runCli([...words(place, line), "--json"], place);
    assert.equal(ended.status, 0, `mystnode ${line}\n${ended.stdout}${ended.stderr}`);
    return JSON.parse(ended.stdout.trimEnd().split("\n").at(-1) ?? "");
  };
  const start = (line: string) => startCli(words(place, line), place);
  /** a data directory with tokens to deposit */
  const funded = async (directory: string) => {
    const { address } = await run(`init --network $net.json --data-dir $${directory}`);
    await fund(anvil.rpc, network, address, 50n * myst);
    return { address, at: `--data-dir $${directory}` };
  };
  const mine = (on: boolean) => ask(anvil.rpc, "evm_setAutomine", [on]);
  /** Begins a deposit that nobody mines, and leaves it with Ctrl-C. @returns its hash */
  const interrupted = async (line: string): Promise<string> => {
    await mine(false);
    const running = start(line);
    await running.said(/deposit sent, waiting for its block\n +0x[0-9a-f]{64}\n/);
    running.child.kill("SIGINT");
    assert.equal(await running.ended, 130, running.stderr());
    const [, hash = ""] = /error \[INTERRUPTED\] .*the deposit is on its way, as transaction (0x[0-9a-f]{64})/.exec(running.stderr()) ?? [];
    assert.match(running.stderr(), /hint: the same command goes on with it/);
    return hash;
  };

  test("Ctrl-C in the middle of a deposit names what is out, and the same command goes on with it", async () => {
    const { at } = await funded("one");
    const hash = await interrupted(`wallet deposit 5myst --yes ${at}`);
    assert.deepEqual((await run(`wallet ${at}`)).unfinished, { what: "deposit", hash });
    await mine(true);
    const again = await runCli(words(place, `wallet deposit 5myst --yes ${at}`), place);
    assert.ok(again.stdout.includes(hash), again.stdout);
    assert.match(again.stderr, /that was the deposit begun before: for another one, run it again/);
    const { deposit, bond, tokens, unfinished } = await run(`wallet ${at}`);
    assert.deepEqual([deposit, bond, tokens, unfinished], [String(5n * myst), String(myst), String(44n * myst), undefined]);
  });

  test("the same through a running node, whose client goes away", async () => {
    const { at } = await funded("two");
    const serving: Running = start(`serve --service none --listen 127.0.0.1:0 --json ${at}`);
    try {
      await serving.said(/"type":"serving"/);
      const hash = await interrupted(`wallet deposit 5myst --yes ${at}`);
      // mined only when it is asked for again: a node whose client has gone just now might end it by itself, and nothing be left of it
      const again = start(`wallet deposit 5myst --yes ${at}`);
      await again.said(new RegExp(hash));
      await mine(true);
      assert.equal(await again.ended, 0, again.stderr());
      assert.ok(again.stdout().includes(hash), again.stdout());
      assert.equal((await run(`wallet ${at}`)).deposit, String(5n * myst));
      assert.deepEqual((await run(`wallet settle --all ${at}`)).settled, []);
      assert.deepEqual((await run(`wallet channels ${at}`)).channels, []);
      const { closeAtMs } = await run(`wallet close --yes ${at}`);
      assert.equal((await run(`wallet ${at}`)).closeAtMs, closeAtMs);
    } finally {
      serving.child.kill("SIGTERM");
      assert.equal(await serving.ended, 0, serving.stderr());
    }
  });

  test("a wallet elsewhere is told what to send, and waited for; then it alone closes and takes out", async () => {
    const { address, at } = await funded("three");
    type Step = { what: string; to: Hex; data: Hex; link: string };
    /** runs a command that hands over, does what it says, and gives its last line */
    const handed = async (line: string, steps: string[]) => {
      const running = start(`${line} --wait --json ${at}`);
      await until(() => running.stdout().includes("\n") || running.child.exitCode !== null, 30_000, "what to send");
      const first = JSON.parse(running.stdout().split("\n")[0] ?? "");
      assert.equal(first.type, "outside", running.stderr());
      assert.deepEqual(
        first.transactions.map(({ what }: Step) => what),
        steps,
      );
      for (const { to, data, link } of first.transactions as Step[]) {
        assert.ok(link.startsWith(`ethereum:${to}@${network.chainId}/`), link);
        await ask(anvil.rpc, "eth_sendTransaction", [{ from: wallet, to, data }]);
      }
      assert.equal(await running.ended, 0, running.stderr());
      return JSON.parse(running.stdout().trimEnd().split("\n").at(-1) ?? "").account;
    };
    const opened = await handed(`wallet deposit 5myst --owner ${wallet}`, ["approve", "deposit"]);
    assert.deepEqual([opened.signer, opened.owner, opened.line], [address, wallet, String(5n * myst)]);
    assert.equal((await handed("wallet deposit 2myst", ["approve", "deposit"])).line, String(7n * myst));
    assert.notEqual((await handed("wallet close", ["close"])).closeAtMs, undefined);
    await ask(anvil.rpc, "evm_increaseTime", [3 * 86_400]);
    await ask(anvil.rpc, "evm_mine", []);
    assert.equal((await handed("wallet withdraw", ["withdraw"])).balance, "0");
  });

  test("one node pays for another's account, with its consent", async () => {
    const owner = await funded("four");
    const signer = await funded("five");
    const { consent } = await run(`wallet consent ${owner.address} ${signer.at}`);
    const paid = await run(`wallet deposit 3myst --yes --for ${signer.address} --consent ${consent} ${owner.at}`);
    assert.equal(paid.deposit, String(3n * myst));
    assert.equal((await run(`wallet ${signer.at}`)).owner, owner.address);
    const to = `0x${"b2".repeat(20)}`;
    await run(`wallet close --yes --for ${signer.address} ${owner.at}`);
    await ask(anvil.rpc, "evm_increaseTime", [3 * 86_400]);
    await ask(anvil.rpc, "evm_mine", []);
    const out = await run(`wallet withdraw --yes --for ${signer.address} --to ${to} ${owner.at}`);
    assert.deepEqual([out.withdrawn, out.to], [String(4n * myst), to]);
  });

  test("what people get wrong is told with its remedy", async () => {
    const { address, at } = await funded("six");
    const wrong = async (line: string, code: string, status: number, hint: RegExp) => {
      const { stdout, status: ended } = await runCli([...words(place, `${line} ${at}`), "--json"], place);
      const { error } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
      assert.deepEqual([error.code, ended], [code, status], stdout);
      assert.match(error.hint, hint);
    };
    await wrong(`wallet deposit 5myst --for ${wallet} --yes`, "BAD_SIGNATURE", 1, /wallet consent 0x/);
    await wrong(`wallet deposit 5myst --for ${wallet} --consent 0x12 --yes`, "BAD_VALUE", 2, /128 hex digits/);
    await wrong(`wallet deposit 5myst --for ${wallet} --consent 0x${"1".repeat(128)} --yes`, "BAD_SIGNATURE", 1, /wallet consent/);
    await wrong("wallet deposit 5myst --owner 0x12", "BAD_ADDRESS", 2, /40 hex digits/);
    await wrong("wallet deposit 0.1myst --owner ".concat(wallet), "DEPOSIT_TOO_SMALL", 5, /deposit more/);
    await wrong("wallet consent me", "BAD_ADDRESS", 2, /40 hex digits/);
    await wrong("wallet withdraw --to 0x1", "BAD_ADDRESS", 2, /40 hex digits/);
    await wrong(`wallet close --for ${wallet} --yes`, "NO_DEPOSIT", 5, /wallet deposit/);
    await run(`wallet deposit 5myst --yes ${at}`);
    await wrong(`wallet deposit 5myst --owner ${wallet}`, "NOT_OWNER", 1, /keeps its owner/);
    await wrong("wallet withdraw", "ACCOUNT_OPEN", 1, /wallet close/);
    await wrong("wallet settle --rpc http://127.0.0.1:9", "RPC_UNREACHABLE", 1, /--rpc/).catch(() => undefined);
    assert.equal((await run(`wallet ${at}`)).owner, address);
  });
});
