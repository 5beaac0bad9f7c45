import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { livingProcess, reapPidFile, writePidFile } from "../../../src/devnet/pids.ts";
import { describe } from "../../support/harness.ts";

async function withSleeper(script: string, use: (child: ChildProcess & { pid: number }, file: string) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-pids-"));
  const child = spawn(process.execPath, ["-e", `${script}; console.log("ready"); setInterval(() => {}, 1000)`], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    await once(child.stdout, "data");
    await use(child as ChildProcess & { pid: number }, join(directory, "node.pid"));
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(directory, { recursive: true, force: true });
  }
}

describe("devnet/pids: what may be ended", (test) => {
  test("ends the very process that was noted, and removes the file", () =>
    withSleeper("", async (child, file) => {
      await writePidFile(file, child.pid);
      assert.equal(await livingProcess(file), child.pid);
      const [ended] = await Promise.all([reapPidFile(file), once(child, "exit")]);
      assert.equal(ended, child.pid);
      assert.equal(child.signalCode, "SIGTERM");
      await assert.rejects(stat(file));
    }));

  test("insists when asking does not help", () =>
    withSleeper("process.on('SIGTERM', () => {})", async (child, file) => {
      await writePidFile(file, child.pid);
      await Promise.all([reapPidFile(file, 100), once(child, "exit")]);
      assert.equal(child.signalCode, "SIGKILL");
    }));

  test("leaves another process alone that has the number now", () =>
    withSleeper("", async (child, file) => {
      await writePidFile(file, child.pid);
      const mark = JSON.parse(await readFile(file, "utf8"));
      await writeFile(file, JSON.stringify({ ...mark, began: `${mark.began}0` }));
      assert.equal(await reapPidFile(file, 100), undefined);
      assert.equal(child.exitCode ?? child.signalCode, null);
    }));

  test("a file that is damaged or not there names nobody", async () => {
    const directory = await mkdtemp(join(tmpdir(), "mystnode-pids-"));
    try {
      const file = join(directory, "node.pid");
      assert.equal(await livingProcess(file), undefined);
      for (const text of ["", "{", "1", '{"pid":-1,"began":"x"}', `{"pid":${process.pid},"began":""}`]) {
        await writeFile(file, text);
        assert.equal(await livingProcess(file), undefined, text);
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("a process that has ended is not alive", () =>
    withSleeper("", async (child, file) => {
      await writePidFile(file, child.pid);
      child.kill("SIGKILL");
      await once(child, "exit");
      assert.equal(await livingProcess(file), undefined);
    }));
});
