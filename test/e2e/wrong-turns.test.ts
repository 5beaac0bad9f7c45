import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe } from "../support/harness.ts";
import { makePlace, runCli, startCli } from "../support/processes.ts";
import { network, type Turn, take, whileServing, words, write } from "./turns.ts";

const net = { "net.json": network() };
const key = { "key.hex": `0x${"42".repeat(32)}\n` };

/** What is typed. */
const typed: Turn[] = [
  { name: "an unknown flag", line: "connect --contry US", code: "UNKNOWN_FLAG", status: 2, hint: /'--country'/ },
  { name: "an unknown command", line: "conect", code: "UNKNOWN_COMMAND", status: 2, hint: /'mystnode connect'/ },
  { name: "an unknown command of a command", line: "wallet setle", code: "UNKNOWN_COMMAND", status: 2, hint: /'mystnode wallet settle'/ },
  { name: "a missing argument", line: "wallet deposit", code: "USAGE", status: 2, hint: /mystnode wallet deposit --help/ },
  { name: "an argument too many", line: "status now", code: "USAGE", status: 2, hint: /mystnode status --help/ },
  { name: "a country that is none", line: "connect --country XX", code: "BAD_COUNTRY", status: 2, hint: /US, DE or JP/ },
  { name: "UK for GB", line: "connect --country UK", code: "BAD_COUNTRY", status: 2, hint: /'GB'/ },
  {
    name: "a country that is none, in the environment",
    line: "connect",
    env: { MYSTNODE_CONNECT_COUNTRY: "Germany" },
    code: "BAD_COUNTRY",
    status: 2,
    hint: /DE/,
  },
  { name: "an amount that is none", line: "connect --budget lots", code: "BAD_AMOUNT", status: 2, hint: /0\.1myst/ },
  { name: "an amount without its unit", line: "connect --budget 5", code: "BAD_AMOUNT", status: 2, hint: /0\.1myst/ },
  {
    name: "an amount in another unit",
    line: "connect --budget 5usd --network $net.json",
    files: net,
    code: "BAD_AMOUNT",
    status: 2,
    hint: /0\.1myst/,
  },
  {
    name: "a price cap of 0",
    line: "connect --max-price-gib 0 --network $net.json",
    files: net,
    code: "CONSUMER_PRICE_ZERO",
    status: 2,
    hint: /--max-price-gib/,
  },
  {
    name: "a budget of 0",
    line: "connect --budget 0 --network $net.json",
    files: net,
    code: "BUDGET_TOO_SMALL",
    status: 8,
    hint: /--budget/,
  },
  {
    name: "a listen address that is none",
    line: "serve --country DE --listen localhost",
    code: "BAD_ADDRESS",
    status: 2,
    hint: /0\.0\.0\.0:4480/,
  },
  { name: "a payout account that is none", line: "serve --country DE --payout me", code: "BAD_ADDRESS", status: 2, hint: /40 hex digits/ },
  { name: "a peer id that is none", line: "connect not-a-peer!", code: "BAD_ADDRESS", status: 2, hint: /mystnode exits --json/ },
  { name: "a number that is none", line: "serve --country DE --max-sessions many", code: "BAD_VALUE", status: 2, hint: /20/ },
  { name: "a choice that is none", line: "connect --discovery rumour", code: "BAD_VALUE", status: 2, hint: /gossip, snapshot, dht/ },
  { name: "an exit without a country", line: "serve --network $net.json", files: net, code: "USAGE", status: 2, hint: /--country DE/ },
  { name: "a network without a chain", line: "network create", code: "USAGE", status: 2, hint: /--rpc URL/ },
];

/** Files. */
const filed: Turn[] = [
  {
    name: "a config file that is not JSON",
    line: "status --config $c.json",
    files: { "c.json": "{" },
    code: "BAD_CONFIG_FILE",
    status: 2,
    hint: /log-level/,
  },
  {
    name: "a config file with an unknown key",
    line: "status --config $c.json",
    files: { "c.json": '{"log-levl":"info"}' },
    code: "BAD_CONFIG_FILE",
    status: 2,
    hint: /'log-level'/,
  },
  {
    name: "a config file with a bad value",
    line: "connect --config $c.json",
    files: { "c.json": '{"connect":{"country":"UK"}}' },
    code: "BAD_CONFIG_FILE",
    status: 2,
    hint: /'GB'/,
  },
  { name: "a config file that is not there", line: "status --config $none.json", code: "BAD_CONFIG_FILE", status: 2, hint: /--config/ },
  {
    name: "no network, to connect",
    line: "connect --country US",
    code: "NO_NETWORK",
    status: 2,
    hint: /mystnode devnet.*mystnode network create.*--network/,
  },
  {
    name: "no network, to serve",
    line: "serve --country US",
    code: "NO_NETWORK",
    status: 2,
    hint: /mystnode devnet.*mystnode network create.*--network/,
  },
  {
    name: "a network file that is not there",
    line: "connect --network $none.json",
    code: "NETWORK_FILE_MISSING",
    status: 2,
    hint: /mystnode network create/,
  },
  {
    name: "a network file that is not JSON",
    line: "connect --network $n.json",
    files: { "n.json": "hello" },
    code: "NETWORK_FILE_INVALID",
    status: 2,
    hint: /mystnode network create/,
  },
  {
    name: "a network file without a contract",
    line: "network show --network $n.json",
    files: { "n.json": network({ contract: "0x1" }) },
    code: "NETWORK_FILE_INVALID",
    status: 2,
    hint: /mystnode network create/,
  },
  {
    name: "a data directory that is a file",
    line: "exits --network $net.json --data-dir $file",
    files: { ...net, file: "" },
    code: "DATA_DIR_UNUSABLE",
    status: 1,
    hint: /write to it|--data-dir/,
  },
  {
    name: "an identity in a data directory that is a file",
    line: "init --data-dir $file",
    files: { file: "" },
    code: "DATA_DIR_UNUSABLE",
    status: 1,
    hint: /write to it|--data-dir/,
  },
  { name: "no identity to show", line: "identity show", code: "IDENTITY_MISSING", status: 1, hint: /mystnode init/ },
  { name: "no identity to export", line: "identity export", code: "IDENTITY_MISSING", status: 1, hint: /mystnode init/ },
  { name: "a key file that is not there", line: "identity import $none", code: "KEYSTORE_INVALID", status: 1, hint: /V3 keystore/ },
  {
    name: "a key file without a key",
    line: "identity import $note",
    files: { note: "buy milk" },
    code: "KEYSTORE_INVALID",
    status: 1,
    hint: /64 hex digits/,
  },
  {
    name: "a key outside of the curve",
    line: "identity import $bad.hex",
    files: { "bad.hex": "ff".repeat(32) },
    code: "KEYSTORE_INVALID",
    status: 1,
    hint: /64 hex digits/,
  },
  {
    name: "a keystore that is none",
    line: "identity show",
    files: { "data/identity/keystore.json": "{}", "data/identity/passphrase": "x" },
    code: "KEYSTORE_INVALID",
    status: 1,
    hint: /identity import/,
  },
  { name: "a password file that is not there", line: "init --password-file $none", code: "PASSPHRASE_FILE", status: 1, hint: /first line/ },
  {
    name: "an empty password file",
    line: "init --password-file $empty",
    files: { empty: "\n" },
    code: "PASSPHRASE_FILE",
    status: 1,
    hint: /first line/,
  },
];

/** The node and its chain. */
const absent: Turn[] = [
  { name: "status with no node", line: "status", code: "NODE_NOT_RUNNING", status: 3, hint: /mystnode (connect|serve)/ },
  { name: "disconnect with no node", line: "disconnect", code: "NODE_NOT_RUNNING", status: 3, hint: /mystnode (connect|serve)/ },
  {
    name: "a session that there never was",
    line: "sessions 123456 --network $net.json",
    files: net,
    code: "SESSION_UNKNOWN",
    status: 1,
    hint: /mystnode sessions/,
  },
  {
    name: "a wallet whose chain does not answer",
    line: "wallet --network $net.json",
    files: net,
    code: "RPC_UNREACHABLE",
    status: 1,
    hint: /--rpc/,
  },
  {
    name: "a network on a chain that does not answer",
    line: "network create --rpc http://127.0.0.1:9",
    code: "RPC_UNREACHABLE",
    status: 1,
    hint: /--rpc/,
  },
];

describe("e2e/wrong turns: alone", (test) => {
  for (const turn of [...typed, ...filed, ...absent])
    test(turn.name, async () => {
      await using place = await makePlace();
      await take(place, turn);
      assert.deepEqual(place.processes(), []);
      assert.deepEqual(await place.strays(), []);
    });
});

describe("e2e/wrong turns: with what is there", (test) => {
  test("an import over an identity", async () => {
    await using place = await makePlace();
    write(place, key);
    assert.equal((await runCli(words(place, "identity import $key.hex"), place)).status, 0);
    await take(place, { name: "", line: "identity import $key.hex", code: "IDENTITY_EXISTS", status: 1, hint: /mystnode identity show/ });
  });

  test("a key under a passphrase of one's own: the wrong one, none at all, and an export that nobody can be asked for", async () => {
    await using place = await makePlace();
    write(place, { right: "correct horse\n", wrong: "battery\n" });
    assert.equal((await runCli(words(place, "init --password-file $right"), place)).status, 0);
    const turn = { name: "", status: 1 };
    await take(place, { ...turn, line: "identity --password-file $wrong", code: "PASSPHRASE_WRONG", hint: /--password-file/ });
    await take(place, { ...turn, line: "identity", code: "PASSPHRASE_MISSING", hint: /--password-file/ });
    await take(place, {
      ...turn,
      line: "identity export --password-file $right",
      code: "PASSPHRASE_MISSING",
      hint: /--export-password-file/,
    });
    const exported = await runCli(
      words(place, "identity export --out $e.json --password-file $right --export-password-file $wrong"),
      place,
    );
    assert.equal(exported.status, 0, exported.stderr);
    await take(place, {
      ...turn,
      line: "identity import $e.json --import-password-file $right --data-dir $other",
      code: "PASSPHRASE_WRONG",
      hint: /--password-file|identity import/,
    });
    const imported = await runCli(words(place, "identity import $e.json --import-password-file $wrong --data-dir $other --json"), place);
    const own = await runCli(words(place, "identity --password-file $right --json"), place);
    assert.deepEqual(JSON.parse(imported.stdout), JSON.parse(own.stdout));
  });

  test("another network than the one that the data directory was begun with", async () => {
    await using place = await makePlace();
    write(place, { ...net, "other.json": network({ contract: `0x${"33".repeat(20)}` }) });
    assert.equal((await runCli(words(place, "sessions --network $net.json"), place)).status, 0);
    await take(place, { name: "", line: "sessions --network $other.json", code: "NETWORK_MISMATCH", status: 2, hint: /--data-dir/ });
    const after = await runCli(words(place, "network --json"), place);
    assert.equal(JSON.parse(after.stdout).network.contract, `0x${"11".repeat(20)}`);
  });

  test("a port in use", async () => {
    await using place = await makePlace();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const line = `serve --country DE --network $net.json --listen 127.0.0.1:${port}`;
    await take(place, { name: "", line, files: net, code: "PORT_IN_USE", status: 1, hint: /--listen/ });
    await new Promise((resolve) => server.close(resolve));
  });

  test("a second node on a data directory, no connection to end, and nobody to connect to", async () => {
    await using place = await makePlace();
    write(place, net);
    const serve = "serve --service none --network $net.json --listen 127.0.0.1:0";
    await whileServing(place, serve, async () => {
      await take(place, { name: "", line: serve, code: "DATA_DIR_LOCKED", status: 1, hint: /mystnode status/ });
      await take(place, { name: "", line: "disconnect", code: "NOT_CONNECTED", status: 1, hint: /mystnode connect/ });
      await take(place, { name: "", line: "connect --country AQ", code: "NO_MATCHING_EXIT", status: 4, hint: /mystnode exits|--country/ });
    });
  });

  test("no mistake: a data directory whose node was killed just works", async () => {
    await using place = await makePlace();
    write(place, net);
    const serve = "serve --service none --network $net.json --listen 127.0.0.1:0 --json";
    const killed = startCli(words(place, serve), place);
    await killed.said(/"type":"serving"/);
    killed.child.kill("SIGKILL");
    await killed.ended;
    await take(place, { name: "", line: "status", code: "NODE_NOT_RUNNING", status: 3, hint: /mystnode/ });
    assert.equal((await runCli(words(place, "sessions"), place)).status, 0);
    await whileServing(place, "serve --service none --listen 127.0.0.1:0", async () => {
      assert.equal((await runCli(words(place, "status"), place)).status, 0);
    });
  });

  test("at least thirty of them, and every code of a wrong turn is one that a person can tell from another", () => {
    const all = [...typed, ...filed, ...absent];
    assert.ok(all.length >= 30);
    assert.ok(new Set(all.map(({ code }) => code)).size >= 20);
  });
});
