import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe } from "../support/harness.ts";
import { makePlace } from "../support/processes.ts";
import { network, words, write } from "./turns.ts";

const program = fileURLToPath(new URL("../../bin/mystnode.js", import.meta.url));
const isRoot = process.getuid?.() === 0;
/** as anybody else has it who may not configure networks */
const without = isRoot ? ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"] : [];

type Told = { status: number | null; error: { code: string; hint: string }; stderr: string };

async function run(line: string, { privileged = false } = {}): Promise<Told> {
  await using place = await makePlace();
  write(place, { "net.json": network() });
  const [file = "", ...args] = [...(privileged ? [] : without), process.execPath, program, ...words(place, line), "--json"];
  const { status, stdout, stderr } = spawnSync(file, args, { cwd: place.root, env: place.env, encoding: "utf8", timeout: 30_000 });
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  assert.match(last, /^\{"v":1,"error":\{/, `${stdout}${stderr}`);
  assert.deepEqual(await place.strays(), []);
  return { status, error: JSON.parse(last).error, stderr };
}

describe("e2e/wrong turns: without privileges", (test) => {
  for (const line of [
    "connect --service wireguard --network $net.json",
    "serve --service wireguard --country DE --network $net.json",
    "cleanup",
  ])
    test(`'${line}' says what it takes, before anything is done`, async () => {
      const { status, error } = await run(line);
      assert.deepEqual([status, error.code], [6, "PRIVILEGE_NEEDED"]);
      assert.match(error.hint, /sudo/);
    });

  test("the proxy takes none", async () => {
    // the chain does not answer: that is as far as it gets
    const { error, stderr } = await run("connect --network $net.json --proxy 127.0.0.1:0 --discovery snapshot --service proxy");
    assert.notEqual(error.code, "PRIVILEGE_NEEDED");
    assert.ok(!stderr.includes("helper"), stderr);
  });

  test("a user that there is not", async () => {
    const { status, error } = await run("serve --service none --user no-such-user --network $net.json", { privileged: true });
    assert.deepEqual([status, error.code], [2, "BAD_VALUE"]);
    assert.match(error.hint, /1000:1000/);
  });
});
