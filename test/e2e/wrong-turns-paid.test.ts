import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Anvil, startAnvil } from "../../src/devnet/anvil.ts";
import { ask, fund, giveGas } from "../../src/devnet/funding.ts";
import { visit } from "../../src/devnet/visit.ts";
import { startWebServer, type WebServer } from "../../src/devnet/web-server.ts";
import type { NetworkConfig } from "../../src/lib/network-config.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { describe } from "../support/harness.ts";
import { makePlace, type Place, type Running, runCli, startCli } from "../support/processes.ts";
import { type Turn, take, words } from "./turns.ts";

/** A chain, a web server, an exit at 0.1 MYST/GiB in DE and a consumer, each of them run by commands alone. */
type Market = { place: Place; anvil: Anvil; web: WebServer; exit: Running; invite: string; address: `0x${string}`; network: Network };
type Network = Pick<NetworkConfig, "contract" | "token">;

let market: Market;
const turn = (line: string, code: Turn["code"], status: number, hint: RegExp, files?: Turn["files"]): Turn => ({
  name: line,
  line,
  code,
  status,
  hint,
  ...(files && { files }),
});
const wrong = (...turned: Parameters<typeof turn>) => take(market.place, turn(...turned));
const connect = (more = "") => `connect --proxy 127.0.0.1:0 --bootstrap ${market.invite} ${more}`;
const operator = "--data-dir $operator --network $net.json";

async function right(place: Place, line: string): Promise<string> {
  const { status, stdout, stderr } = await runCli([...words(place, line), "--json"], place);
  assert.equal(status, 0, `mystnode ${line}\n${stdout}${stderr}`);
  return stdout;
}

async function open(): Promise<Market> {
  const place = await makePlace();
  const anvil = await startAnvil({ log: silentLogger });
  const web = await startWebServer();
  const create = `network create --rpc ${anvil.rpc} --out $net.json --data-dir $operator`;
  await take(place, turn(create, "INSUFFICIENT_GAS", 5, /0x[0-9a-f]{40}/));
  const own = JSON.parse(await right(place, "identity --data-dir $operator"));
  await giveGas(anvil.rpc, own.address);
  await take(place, turn(`${create} --token ${own.address}`, "CONTRACT_MISMATCH", 1, /--token/));
  await right(place, create);
  await take(place, turn(create, "BAD_VALUE", 2, /another file/));
  const network: Network = JSON.parse(readFileSync(join(place.root, "net.json"), "utf8"));
  const exit = startCli(words(place, `serve --country DE --listen 127.0.0.1:0 --allow ${web.hostPort} --json ${operator}`), place);
  await exit.said(/"type":"serving"/);
  const [invite = ""] = JSON.parse(exit.stdout().split("\n")[0] ?? "").addresses;
  const { address } = JSON.parse(await right(place, "init --network $net.json"));
  return { place, anvil, web, exit, invite, address, network };
}

async function close(): Promise<void> {
  market.exit.child.kill("SIGTERM");
  const status = await Promise.race([market.exit.ended, wait(30_000, "it does not end", { ref: false })]);
  assert.equal(status, 0, market.exit.stderr());
  await market.web.stop();
  await market.anvil.stop();
  assert.deepEqual(market.place.processes(), []);
  await market.place[Symbol.asyncDispose]();
}

/** A consumer that is connected while `work` runs, and how it ended. */
async function connected(more: string, work: (running: Running, socks: string) => Promise<void>) {
  const running = startCli([...words(market.place, connect(more)), "--json"], market.place);
  await running.said(/"type":"connected"/);
  const line =
    running
      .stdout()
      .split("\n")
      .find((text) => text.includes('"connected"')) ?? "";
  await work(running, JSON.parse(line).endpoint.socks);
  const status = await running.ended;
  return {
    status,
    lines: running
      .stdout()
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text)),
    stderr: running.stderr(),
  };
}

describe("e2e/wrong turns: with a chain", (register, { before, after }) => {
  const test: typeof register = (name, work) => register(name, work, { timeoutMs: 120_000 });
  before(async () => {
    market = await open();
  });
  after(close);

  const fake = (change: object) => ({ "fake.json": JSON.stringify({ ...market.network, ...change }) });
  const elsewhere = "wallet --network $fake.json --data-dir $elsewhere";
  test("another chain than the network's", () => wrong(`${elsewhere}1`, "RPC_WRONG_CHAIN", 1, /--rpc|--network/, fake({ chainId: 5 })));
  test("no contract where the network file says", () =>
    wrong(`${elsewhere}2`, "CONTRACT_MISSING", 1, /network file/, fake({ contract: `0x${"11".repeat(20)}` })));
  test("a contract that is another", () =>
    wrong(`${elsewhere}3`, "CONTRACT_MISMATCH", 1, /network file/, fake({ contract: market.network.token.address })));

  test("no deposit yet", () => wrong(connect(), "NO_DEPOSIT", 5, /mystnode wallet deposit/));
  test("nothing to withdraw", () => wrong("wallet withdraw --yes", "NO_DEPOSIT", 5, /mystnode wallet deposit/));
  test("nothing to close", () => wrong("wallet close --yes", "NO_DEPOSIT", 5, /mystnode wallet deposit/));
  test("money without a yes, and nobody to ask", () => wrong("wallet deposit 5myst", "USAGE", 2, /--yes/));
  test("a deposit of tokens that are not there", () => wrong("wallet deposit 5myst --yes", "INSUFFICIENT_FUNDS", 5, /0x[0-9a-f]{40}/));
  test("a deposit in another unit", () => wrong("wallet deposit 5usd --yes", "BAD_AMOUNT", 2, /0\.1myst/));
  test("a deposit with no coin for fees", async () => {
    const { anvil, network, address } = market;
    await fund(anvil.rpc, network, address, 10n ** 20n);
    await ask(anvil.rpc, "anvil_setBalance", [address, "0x0"]);
    await wrong("wallet deposit 5myst --yes", "INSUFFICIENT_GAS", 5, new RegExp(address));
    await giveGas(anvil.rpc, address);
  });
  test("a deposit below the network's least", () => wrong("wallet deposit 0.5myst --yes", "DEPOSIT_TOO_SMALL", 5, /deposit/));
  test("after a deposit the same commands work", async () => {
    await right(market.place, "wallet deposit 5myst --yes");
    assert.equal(JSON.parse(await right(market.place, "wallet")).deposit, String(5n * 10n ** 18n));
    assert.equal(JSON.parse(await right(market.place, connect("--dry-run"))).exit.country, "DE");
  });

  test("no exit in that country; others are named", () => wrong(connect("--country AQ"), "NO_MATCHING_EXIT", 4, /DE.*mystnode exits/));
  test("the only exit excluded", async () => {
    const { peer } = JSON.parse(await right(market.place, "identity --data-dir $operator"));
    await wrong(connect(`--exclude ${peer}`), "NO_MATCHING_EXIT", 4, /mystnode/);
  });
  test("every price over the cap", () => wrong(connect("--max-price-gib 0.01myst"), "PRICE_OVER_CAP", 4, /--max-price-gib/));
  test("a budget that buys nothing", () => wrong(connect("--budget 0.00000001myst"), "BUDGET_TOO_SMALL", 8, /--budget/));
  test("a SOCKS port in use", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    try {
      await wrong(`connect --proxy 127.0.0.1:${port} --bootstrap ${market.invite}`, "PORT_IN_USE", 1, /--proxy/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test("a second connection on one node; Ctrl-C on the first ends well, with 130", async () => {
    const { status, lines, stderr } = await connected("--country DE", async (running) => {
      await wrong("connect --country DE", "ALREADY_CONNECTED", 1, /mystnode disconnect/);
      running.child.kill("SIGINT");
    });
    assert.equal(status, 130, stderr);
    assert.deepEqual(
      lines.map(({ type, step }) => step ?? type),
      ["found", "agreed", "open", "connected", "ended"],
    );
    for (const line of lines) assert.equal(line.v, 1);
  });

  test("disconnect from another terminal ends it with 0", async () => {
    const { status } = await connected("", async () => {
      assert.equal(JSON.parse(await right(market.place, "disconnect --wait")).session.state, "CLOSED");
    });
    assert.equal(status, 0);
  });

  test("a budget that is used up ends the session, and says so", async () => {
    const { status, lines, stderr } = await connected("--budget 0.0003myst", async (_, socks) => {
      const aborted = AbortSignal.timeout(20_000);
      await visit(`${market.web.url}/bytes?n=${64 << 20}`, { socks, signal: aborted }).catch(() => undefined);
    });
    assert.equal(status, 8, stderr);
    assert.deepEqual([lines.at(-2).type, lines.at(-1).error.code], ["ended", "BUDGET_EXHAUSTED"]);
    assert.match(lines.at(-1).error.hint, /--budget/);
    assert.ok(BigInt(lines.at(-2).session.promised) <= 300_000_000_000_000n);
  });

  test("an account that is closing", async () => {
    await wrong("wallet withdraw --yes", "ACCOUNT_OPEN", 1, /wallet close/);
    await wrong("wallet close", "USAGE", 2, /--yes/);
    await right(market.place, "wallet close --yes");
    await wrong("wallet close --yes", "ACCOUNT_CLOSING", 5, /wallet withdraw/);
    await wrong("wallet withdraw --yes", "ACCOUNT_CLOSING", 5, /wallet withdraw/);
    await wrong("wallet deposit 5myst --yes", "ACCOUNT_CLOSING", 5, /wallet withdraw/);
    await wrong(connect(), "ACCOUNT_CLOSING", 5, /wallet withdraw/);
  });
});
