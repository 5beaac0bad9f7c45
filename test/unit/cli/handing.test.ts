import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { handOver } from "../../../src/cli/handing.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

const skip = process.getuid?.() === 0 ? false : "only root can hand a file over";
const user = { name: "somebody", uid: 4711, gid: 4712, home: "/" };
const unusable = (error: unknown) => isMystError(error, "DATA_DIR_UNUSABLE") && Boolean(error.hint);
const owner = (path: string) => lstatSync(path).uid;

describe("cli/handing: a data directory changes hands", (register) => {
  const test = (name: string, work: (directory: string) => void) =>
    register(
      name,
      () => {
        const directory = mkdtempSync(join(tmpdir(), "mystnode-handing-"));
        try {
          work(directory);
        } finally {
          rmSync(directory, { recursive: true });
        }
      },
      { skip },
    );

  test("one that is not there is made for the user alone", (directory) => {
    const path = join(directory, "a", "b");
    handOver(path, user);
    const { uid, gid, mode } = lstatSync(path);
    assert.deepEqual([uid, gid, mode & 0o777], [4711, 4712, 0o700]);
    assert.equal(owner(join(directory, "a")), 0, "what only leads there stays");
  });

  test("of root's own, what a node has made there, and nothing else", (directory) => {
    mkdirSync(join(directory, "db"));
    mkdirSync(join(directory, "identity"));
    for (const name of ["db/CURRENT", "identity/keystore.json", "network.json", "notes.txt"]) writeFileSync(join(directory, name), "");
    handOver(directory, user);
    for (const name of ["", "db", "db/CURRENT", "identity", "identity/keystore.json", "network.json"])
      assert.equal(owner(join(directory, name)), 4711, name);
    assert.equal(owner(join(directory, "notes.txt")), 0);
    handOver(directory, user);
  });

  test("no link is followed, and no file with a second name", (directory) => {
    const [outside, data] = [join(directory, "outside"), join(directory, "data")];
    mkdirSync(outside);
    mkdirSync(join(data, "db"), { recursive: true });
    writeFileSync(join(outside, "secret"), "");
    writeFileSync(join(outside, "other"), "");
    symlinkSync(outside, join(data, "identity"));
    symlinkSync(join(outside, "secret"), join(data, "db", "LOG"));
    linkSync(join(outside, "other"), join(data, "db", "LOCK"));
    handOver(data, user);
    for (const name of ["", "secret", "other"]) assert.equal(owner(join(outside, name)), 0, name);
    symlinkSync(data, join(directory, "link"));
    assert.throws(() => handOver(join(directory, "link"), user), unusable);
  });

  test("not what is no node's, nor what is somebody else's", (directory) => {
    writeFileSync(join(directory, "passwd"), "");
    assert.throws(() => handOver(directory, user), unusable);
    assert.equal(owner(directory), 0);
    const others = join(directory, "others");
    handOver(others, user);
    assert.throws(() => handOver(others, { ...user, uid: 4713 }), unusable);
  });

  register(
    "who has become somebody cannot go back, and is told when that one may not read the program",
    () => {
      const code = `
        const { become } = await import(${JSON.stringify(join(import.meta.dirname, "../../../src/cli/handing.ts"))});
        process.setgroups([0, 5]);
        become({ name: "somebody", uid: 4711, gid: 4712, home: "/" }, process.argv[1]);
        console.log(process.getuid(), process.getgid(), process.getgroups().join());
        try { process.setuid(0); } catch (error) { console.log(error.code); }`;
      const run = (dataDir: string) =>
        spawnSync(process.execPath, ["--input-type=module", "-e", code, dataDir], { encoding: "utf8", timeout: 20_000 });
      const directory = mkdtempSync(join(tmpdir(), "mystnode-handing-"));
      try {
        const closed = run(directory);
        assert.match(closed.stderr, /DATA_DIR_UNUSABLE|cannot be used by somebody/);
        handOver(join(directory, "open"), user);
      } finally {
        rmSync(directory, { recursive: true });
      }
      const open = mkdtempSync("/tmp/mystnode-handing-");
      try {
        handOver(open, user);
        const { stdout, stderr } = run(open);
        assert.equal(stdout, "4711 4712 4712\nEPERM\n", stderr);
      } finally {
        rmSync(open, { recursive: true });
      }
    },
    { skip },
  );
});
