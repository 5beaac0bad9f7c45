import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe } from "../support/harness.ts";

const file = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const run = (platform: string, ...args: string[]) =>
  spawnSync(process.execPath, ["--import", file("elsewhere.mjs"), file("elsewhere-program.ts"), ...args], {
    encoding: "utf8",
    env: { ...process.env, ELSEWHERE: platform },
    timeout: 30_000,
  });

describe("services/proxy: on a machine that is no Linux", (test) => {
  for (const platform of ["darwin", "win32"])
    test(`exit and consumer work on ${platform}, and ask for nothing that is not there`, () => {
      const { stdout, stderr } = run(platform);
      assert.equal(`${stdout}${stderr}`, `${platform}: by socks, by http, by datagram\n`);
    });

  test("what is not there would be seen", () => {
    for (const [what, text] of [
      ["spawn", "execFileSync true"],
      ["read", "readFileSync /proc/self/status"],
    ] as const) {
      const { status, stderr } = run("darwin", what);
      assert.deepEqual([status, stderr], [3, `not on this machine: ${text}\n`]);
    }
  });
});
