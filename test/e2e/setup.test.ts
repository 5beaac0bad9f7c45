import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { describe } from "../support/harness.ts";

const script = join(import.meta.dirname, "..", "..", "scripts", "setup.mjs");
const lock = {
  packages: {
    "": { name: "x" },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/elsewhere": { version: "1.0.0", optional: true, os: ["nowhere"] },
    "node_modules/here": { version: "1.0.0", integrity: "sha512-h", optional: true, os: [process.platform] },
  },
};
const installed = (names: string[]) =>
  JSON.stringify({ packages: Object.fromEntries(Object.entries(lock.packages).filter(([path]) => names.includes(path.slice(13)))) });

/** stands in for npm: notes how it was called, and installs what LACKS does not name; FAILS makes it fail half-way */
const npm = `#!${process.execPath}
const { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } = require("node:fs");
appendFileSync("calls", process.argv.slice(2).join(" ") + "\\n");
rmSync("node_modules", { recursive: true, force: true });
mkdirSync("node_modules/a", { recursive: true });
writeFileSync("node_modules/a/package.json", "{}");
if (existsSync("FAILS")) process.exit(1);
const lacks = existsSync("LACKS");
if (!lacks) mkdirSync("node_modules/here");
if (!lacks) writeFileSync("node_modules/here/package.json", "{}");
setTimeout(() => writeFileSync("node_modules/.package-lock.json", lacks ? ${JSON.stringify(installed(["a"]))} : ${JSON.stringify(installed(["a", "here"]))}), 200);
`;

type Clone = AsyncDisposable & {
  root: string;
  setUp(): Promise<{ status: number | null; stdout: string; stderr: string }>;
  calls(): Promise<string[]>;
};

async function makeClone(): Promise<Clone> {
  const root = await mkdtemp(join(tmpdir(), "setup-"));
  const write = async (name: string, content: string) => {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  };
  await cp(script, join(root, "scripts", "setup.mjs"));
  await write("package-lock.json", JSON.stringify(lock));
  await write("bin/npm", npm);
  await chmod(join(root, "bin", "npm"), 0o755);
  await symlink(process.execPath, join(root, "bin", "node"));
  // with the tools there, nothing is installed system-wide
  for (const tool of ["wg", "wireguard-go", "nft", "ip", "conntrack"]) await write(`bin/${tool}`, "");
  const env = { PATH: `${join(root, "bin")}:/usr/bin:/bin` };
  return {
    root,
    setUp: async () => {
      const child = spawn(process.execPath, [join(root, "scripts", "setup.mjs")], { env, stdio: ["ignore", "pipe", "pipe"] });
      const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
      const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
      return { status, stdout, stderr };
    },
    calls: async () => (await readFile(join(root, "calls"), "utf8").catch(() => "")).split("\n").filter(Boolean),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

describe("e2e/setup", (test) => {
  test("installs what the lockfile asks for, once, and says so on stderr only", async () => {
    await using clone = await makeClone();
    const first = await clone.setUp();
    assert.deepEqual([first.status, first.stdout], [0, ""], first.stderr);
    assert.match(first.stderr, /installing npm packages/);
    assert.deepEqual(await clone.setUp(), { status: 0, stdout: "", stderr: "" });
    const calls = await clone.calls();
    assert.equal(calls.length, 1);
    assert.match(calls[0] ?? "", /^ci --ignore-scripts --include=dev --include=optional /);
  });

  test("installs again where a package is gone, another version is locked, or an install was cut short", async () => {
    await using clone = await makeClone();
    await clone.setUp();
    await rm(join(clone.root, "node_modules", "a"), { recursive: true });
    await clone.setUp();
    assert.equal((await clone.calls()).length, 2);
    const changed = structuredClone(lock);
    changed.packages["node_modules/a"].version = "1.0.1";
    await writeFile(join(clone.root, "package-lock.json"), JSON.stringify(changed));
    await clone.setUp();
    assert.equal((await clone.calls()).length, 3);
    await writeFile(join(clone.root, "package-lock.json"), JSON.stringify(lock));
    await rm(join(clone.root, "node_modules", ".package-lock.json"));
    await clone.setUp();
    assert.equal((await clone.calls()).length, 4);
  });

  test("two at once install once", async () => {
    await using clone = await makeClone();
    const both = await Promise.all([clone.setUp(), clone.setUp()]);
    assert.deepEqual(
      both.map(({ status }) => status),
      [0, 0],
    );
    assert.equal((await clone.calls()).length, 1);
    assert.match(both.map(({ stderr }) => stderr).join(""), /waiting for another set-up/);
  });

  test("an optional package that the registry does not have is not asked for again", async () => {
    await using clone = await makeClone();
    await writeFile(join(clone.root, "LACKS"), "");
    await clone.setUp();
    assert.equal((await clone.setUp()).status, 0);
    assert.equal((await clone.calls()).length, 1);
  });

  test("ends with 1 and what to do when npm fails; the next run tries again", async () => {
    await using clone = await makeClone();
    await writeFile(join(clone.root, "FAILS"), "");
    const { status, stderr } = await clone.setUp();
    assert.equal(status, 1);
    assert.match(stderr, /npm could not install the packages\n {2}see npm's message/);
    await rm(join(clone.root, "FAILS"));
    assert.equal((await clone.setUp()).status, 0);
  });

  test("says which Node is needed where there is none that is new enough", async () => {
    await using clone = await makeClone();
    await rm(join(clone.root, "bin", "node"));
    await writeFile(join(clone.root, "bin", "node"), "#!/bin/sh\necho v20.1.0\n", { mode: 0o755 });
    const { status, stderr } = await clone.setUp();
    assert.equal(status, 1);
    assert.match(stderr, /Node 24\.7 or newer is needed; found v20\.1\.0/);
  });
});
