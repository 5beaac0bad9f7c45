import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "../support/harness.ts";
import { makePlace, type Place } from "../support/processes.ts";
import { type Ran, runCommand } from "../support/run-file.ts";

const root = join(import.meta.dirname, "..", "..");
const bin = join(root, "node_modules", ".bin");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--no-update-notifier", "--prefer-offline"];
/** a request that stalls is made again; by itself npm waits for each as long as the whole may take */
const patient = ["--fetch-timeout=20000", "--fetch-retries=3", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"];

/** The one JavaScript block of the README. */
export function readmeExample(): string {
  const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```js\n([\s\S]*?)^```$/gm)];
  assert.equal(blocks.length, 1, "one block");
  return blocks[0]?.[1] ?? "";
}

describe("e2e/package: as published, in an empty prefix with production dependencies only", (test, { before, after }) => {
  let place: Place;
  let prefix: string;
  let env: NodeJS.ProcessEnv;
  const run = async (command: string[], cwd = prefix, limitMs = 240_000): Promise<Ran> => {
    const ran = await runCommand(command, { cwd, limitMs, env });
    assert.deepEqual([ran.status, ran.problems], [0, []], ran.output);
    return ran;
  };

  before(
    async () => {
      // npm and tsc would leave theirs in the directory for temporary files
      env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" };
      // where the packages that were installed for this very run are cached: asked before HOME is another
      const cache = (await run(["npm", "config", "get", "cache"], root)).stdout.trim();
      place = await makePlace();
      prefix = join(place.root, "prefix");
      await mkdir(prefix);
      const kept = Object.entries({ ...place.env, NODE_DISABLE_COMPILE_CACHE: "1" }).filter(([name]) => !/^npm_|^NODE_OPTIONS$/.test(name));
      env = { ...Object.fromEntries(kept), npm_config_cache: cache, XDG_DATA_HOME: join(place.dataDir, "share") };
      await run(["npm", "pack", "--loglevel=error", "--pack-destination", prefix], root);
      writeFileSync(join(prefix, "package.json"), `{"name":"prefix","private":true,"type":"module"}`);
      await run(["npm", "install", "--omit=dev", ...quiet, ...patient, `./mystnode-${manifest.version}.tgz`]);
    },
    { timeoutMs: 300_000 },
  );
  after(async () => await place[Symbol.asyncDispose]());

  test("nothing is published but what is meant to be, and no development package comes along", async () => {
    const published = await readdir(join(prefix, "node_modules", "mystnode"));
    assert.deepEqual(published.sort(), ["CHANGELOG.md", "LICENSE", "README.md", "bin", "dist", "package.json"]);
    const packages = await readdir(join(prefix, "node_modules"));
    for (const name of ["typescript", "uvu", "solc", "@biomejs"]) assert.ok(!packages.includes(name), name);
  });

  test(
    "the README's example runs",
    async () => {
      writeFileSync(join(prefix, "example.js"), readmeExample());
      const { stdout } = await run([process.execPath, "example.js"], prefix, 100_000);
      assert.match(stdout, /^out in US by SOCKS5 at 127\.0\.0\.1:\d+\nit cost 0\.\d+ MYST\n$/);
      assert.deepEqual(place.processes(), []);
    },
    { timeoutMs: 120_000 },
  );

  test("its types are the ones that the example needs", async () => {
    const wrong = "\n// @ts-expect-error: a country is no number\nconst country: number = connection.exit.country;\nexport { country };\n";
    writeFileSync(
      join(prefix, "example.ts"),
      readmeExample().replace("[maxPerGiB, maxPerHour, budget] =", "[maxPerGiB = 0n, maxPerHour = 0n, budget = 0n] =") + wrong,
    );
    const compilerOptions = {
      ...{ target: "es2024", lib: ["es2024", "esnext.disposable"], module: "nodenext", strict: true, noEmit: true },
      ...{ noUncheckedIndexedAccess: true, skipLibCheck: true, types: ["node"], typeRoots: [join(root, "node_modules", "@types")] },
    };
    writeFileSync(join(prefix, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts"] }));
    await run([join(bin, "tsc"), "-p", "."]);
  });

  test(
    "npx mystnode devnet --once --json runs a whole cycle",
    async () => {
      const { stdout } = await run(["npx", "--no-install", "mystnode", "devnet", "--once", "--json"], prefix, 170_000);
      const cycle = JSON.parse(stdout);
      assert.equal(cycle.country, "US");
      assert.equal(cycle.addressSeen, cycle.exitAddress);
      assert.equal(cycle.cleared, cycle.promised);
      assert.equal(cycle.providerReceived, cycle.promised);
      assert.deepEqual(place.processes(), []);
      assert.deepEqual(await place.strays(), []);
    },
    { timeoutMs: 180_000 },
  );

  test("an old Node is told as such, and not by what it lacks", async () => {
    const old = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });`;
    writeFileSync(join(prefix, "old.js"), `${old} await import("mystnode").catch(({ code, hint }) => console.log(code, Boolean(hint)));`);
    assert.equal((await run([process.execPath, "old.js"])).stdout, "NODE_TOO_OLD true\n");
  });

  test("the package tells its version", async () => {
    const { stdout } = await run(["npx", "--no-install", "mystnode", "version"]);
    assert.ok(stdout.includes(manifest.version));
    assert.equal(JSON.parse(await readFile(join(prefix, "node_modules", "mystnode", "package.json"), "utf8")).version, manifest.version);
  });
});
