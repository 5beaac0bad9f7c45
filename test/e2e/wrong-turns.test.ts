import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe } from "../support/harness.ts";
import { makePlace, runCli, startCli } from "../support/processes.ts";
import { network, take, whileServing, words, write } from "./turns.ts";
import { absent, filed, typed } from "./turns-alone.ts";

const net = { "net.json": network() };
const key = { "key.hex": `0x${"42".repeat(32)}\n` };

const alone = [...typed, ...filed, ...absent];
/** at a time: each is a process that does little but start */
const atOnce = 3;

async function takeAlone(turn: (typeof alone)[number]): Promise<void> {
  await using place = await makePlace();
  await take(place, turn);
  assert.deepEqual(place.processes(), []);
  assert.deepEqual(await place.strays(), []);
}

describe("e2e/wrong turns: alone", (test) => {
  const taken = new Map(alone.map((turn) => [turn.name, { turn, ...Promise.withResolvers<void>() }]));
  const left = [...taken.values()];
  let begun = false;
  const work = async () => {
    for (let next = left.shift(); next; next = left.shift()) await takeAlone(next.turn).then(next.resolve, next.reject);
  };
  const begin = () => {
    if (begun) return;
    begun = true;
    for (const { promise } of left) promise.catch(() => undefined);
    for (let i = 0; i < atOnce; i += 1) void work();
  };
  for (const { name } of alone)
    test(
      name,
      () => {
        begin();
        return taken.get(name)?.promise;
      },
      { timeoutMs: 120_000 },
    );
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

  test("a second node on a data directory, and no connection to end", async () => {
    await using place = await makePlace();
    write(place, net);
    const serve = "serve --service none --network $net.json --listen 127.0.0.1:0";
    await whileServing(place, serve, async () => {
      await take(place, { name: "", line: serve, code: "DATA_DIR_LOCKED", status: 1, hint: /mystnode status/ });
      await take(place, { name: "", line: "disconnect", code: "NOT_CONNECTED", status: 1, hint: /mystnode connect/ });
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
    assert.ok(alone.length >= 30);
    assert.equal(new Set(alone.map(({ name }) => name)).size, alone.length);
    assert.ok(new Set(alone.map(({ code }) => code)).size >= 18);
  });
});
