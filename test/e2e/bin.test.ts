import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";

const program = join(import.meta.dirname, "..", "..", "bin", "mystnode.js");
/** makes this Node pass for an older one, without telling the Node that it hands over to */
const old = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });`;

type Installed = AsyncDisposable & { root: string; run(asOld: boolean, args: string[], withChannel?: boolean): ChildProcess };

/** The launcher as installed, in front of a program that we can look into. `node`: with the package that brings a Node. */
async function install(main: string, options: { node: boolean }): Promise<Installed> {
  const root = await mkdtemp(join(tmpdir(), "bin-"));
  await mkdir(join(root, "bin"));
  await cp(program, join(root, "bin", "mystnode.js"));
  await writeFile(join(root, "package.json"), `{"type":"module"}`);
  await writeFile(join(root, "old.mjs"), old);
  await mkdir(join(root, "dist", "cli"), { recursive: true });
  await writeFile(join(root, "dist", "cli", "main.js"), `export async function run(args) { ${main} }`);
  if (options.node) {
    const bundled = join(root, "node_modules", `node-${process.platform}-${process.arch}`);
    await mkdir(join(bundled, "bin"), { recursive: true });
    await writeFile(join(bundled, "package.json"), JSON.stringify({ version: process.versions.node }));
    await symlink(process.execPath, join(bundled, "bin", "node"));
  }
  return {
    root,
    run: (asOld, args, withChannel = false) =>
      spawn(process.execPath, [...(asOld ? ["--import", join(root, "old.mjs")] : []), join(root, "bin", "mystnode.js"), ...args], {
        stdio: ["ignore", "pipe", "pipe", ...(withChannel ? (["ipc"] as const) : [])],
      }),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

async function outcome(child: ChildProcess) {
  const ended = new Promise<number | string>((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal ?? "")));
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout as NonNullable<typeof child.stdout>),
    text(child.stderr as NonNullable<typeof child.stderr>),
    ended,
  ]);
  return { stdout, stderr, status };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
/** tells its pid, then waits; on a signal it says so and ends with 7 */
const waits = `
  for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => { console.log("got " + name); process.exit(7); });
  console.log(JSON.stringify({ pid: process.pid, ppid: process.ppid, env: process.env.MYSTNODE_PARENT ?? null }));
  await new Promise(() => setInterval(() => {}, 1000));`;

const firstLine = (child: ChildProcess) =>
  new Promise<{ pid: number; ppid: number; env: string | null }>((resolve) =>
    child.stdout?.once("data", (data: Buffer) => resolve(JSON.parse(data.toString()))),
  );

describe("e2e/bin: the launcher", (test) => {
  test("runs the program in its own process where this Node is new enough", async () => {
    await using installed = await install(`console.log(process.pid, ...args); return 3;`, { node: true });
    const child = installed.run(false, ["a b", "--c"]);
    const { stdout, status } = await outcome(child);
    assert.equal(stdout, `${child.pid} a b --c\n`);
    assert.equal(status, 3);
  });

  test("hands over to the Node that came along, with arguments, output and exit status", async () => {
    await using installed = await install(`console.log(process.versions.node, ...args); console.error("e"); return 3;`, { node: true });
    assert.deepEqual(await outcome(installed.run(true, ["a b", "--c"])), {
      stdout: `${process.versions.node} a b --c\n`,
      stderr: "e\n",
      status: 3,
    });
  });

  test("says what is needed where there is none", async () => {
    await using installed = await install(`return 0;`, { node: false });
    const { stdout, stderr, status } = await outcome(installed.run(true, []));
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /mystnode needs Node 24\.7 or newer, this is Node 20\.20\.2 \(NODE_TOO_OLD\)\n {2}install/);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    test(`passes on ${signal} once, and the status that it leads to`, async () => {
      await using installed = await install(waits, { node: true });
      const child = installed.run(true, []);
      const [line, { stdout, status }] = await Promise.all([
        firstLine(child).then((told) => {
          child.kill(signal);
          return told;
        }),
        outcome(child),
      ]);
      assert.notEqual(line.pid, child.pid);
      assert.equal(line.env, null);
      assert.equal(stdout.split(`got ${signal}`).length, 2);
      assert.equal(status, 7);
    });

  test("ends by the signal that ended the program", async () => {
    await using installed = await install(`process.kill(process.pid, "SIGKILL"); await new Promise(() => {});`, { node: true });
    assert.equal((await outcome(installed.run(true, []))).status, "SIGKILL");
  });

  test("when it is killed, the program ends too", async () => {
    await using installed = await install(waits, { node: true });
    const child = installed.run(true, []);
    const [{ pid }] = await Promise.all([
      firstLine(child).then((told) => {
        child.kill("SIGKILL");
        return told;
      }),
      outcome(child),
    ]);
    await until(() => !isAlive(pid));
  });

  test("passes messages on in both directions, and the end of the channel", async () => {
    const main = `process.on("message", (m) => process.send({ echo: m })); await new Promise((r) => process.on("disconnect", r)); return 9;`;
    await using installed = await install(main, { node: true });
    const child = installed.run(true, [], true);
    const answer = new Promise((resolve) => child.once("message", resolve));
    child.send("hello");
    assert.deepEqual(await answer, { echo: "hello" });
    child.disconnect();
    assert.equal((await outcome(child)).status, 9);
  });

  test("is JavaScript that Node 18 reads", async () => {
    const code = await readFile(program, "utf8");
    assert.doesNotMatch(code, /\busing\b|import\.meta\.dirname|with \{ type/);
    assert.match(code, /^#!\/usr\/bin\/env node\n/);
  });
});
