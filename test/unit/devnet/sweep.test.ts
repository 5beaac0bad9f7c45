import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writePidFile } from "../../../src/devnet/pids.ts";
import { ownerFile, sweep } from "../../../src/devnet/sweep.ts";
import { describe } from "../../support/harness.ts";

describe("devnet/sweep: what killed runs have left", (test) => {
  test("removes the dead with their processes, and leaves the living and everything else alone", async () => {
    const root = await mkdtemp(join(tmpdir(), "mystnode-sweep-"));
    const orphan = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const gone = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
    try {
      await once(gone, "exit");
      const names = [`once-${gone.pid}`, "once-1", `once-${process.pid}`, "exit-us", "once-x"];
      for (const name of names) await mkdir(join(root, name, "exit-us"), { recursive: true });
      // a run that was killed, and an exit of it that was not
      await writeFile(join(root, `once-${gone.pid}`, ownerFile), JSON.stringify({ pid: gone.pid, began: "long ago" }));
      await writePidFile(join(root, `once-${gone.pid}`, "exit-us", "node.pid"), orphan.pid ?? 0);
      // one whose number has been used again since
      await writeFile(join(root, "once-1", ownerFile), JSON.stringify({ pid: 1, began: "long ago" }));
      // one that begins just now: its process lives and has not written the file yet
      const ended = once(orphan, "exit");
      const living = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
      await mkdir(join(root, `once-${living.pid}`));
      try {
        await sweep(root);
      } finally {
        living.kill("SIGKILL");
        await once(living, "exit");
      }
      await ended;
      assert.equal(orphan.signalCode, "SIGTERM");
      assert.deepEqual((await readdir(root)).sort(), ["exit-us", `once-${living.pid}`, "once-x"].sort());
    } finally {
      orphan.kill("SIGKILL");
      await rm(root, { recursive: true, force: true });
    }
  });

  test("a directory that is not there has nothing to sweep", () => sweep("/nowhere/at/all"));
});
