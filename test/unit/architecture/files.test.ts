import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "../../support/harness.ts";
import { root } from "./imports.ts";

const maxLines = 300;
/** what git has or would add, with /; without what is generated */
const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter((file) => file && !/^(package-lock\.json|snapshots\/|src\/chain\/abi\/|contracts\/vectors\/)/.test(file));
const read = (file: string): string => {
  try {
    return readFileSync(join(root, file), "utf8");
  } catch {
    // deleted and not yet committed
    return "";
  }
};
const code = files.filter((file) => /\.(ts|js|mjs|cjs|sol|sh)$/.test(file));
/** tests may well make up a path or a name */
const product = files.filter((file) => !file.startsWith("test/"));

describe("architecture: files", (test) => {
  test("the list is of this repository", () => {
    assert.ok(files.includes("package.json") && code.length > 50);
  });

  test(`none has more than ${maxLines} lines`, () => {
    const long = code
      .map((file) => `${file}: ${read(file).split("\n").length - 1}`)
      .filter((line) => Number(line.split(": ")[1]) > maxLines);
    assert.deepEqual(long, []);
  });

  test("names are kebab-case", () => {
    const odd = files.filter((file) => /^(src|test|scripts|bin)\/.*\.(ts|mjs|cjs|js)$/.test(file) && !/^[a-z0-9/.-]+$/.test(file));
    assert.deepEqual(odd, []);
  });

  const never: [what: string, pattern: RegExp][] = [
    ["unfinished work", /\b(TODO|FIXME|XXX)\b/],
    ["a stand-in for real work", /\b(stub(bed|s)?|placeholder)\b/i],
    ["a person's directory", /(?<![\w.])\/(home|root|Users)\/\w/],
  ];
  for (const [what, pattern] of never)
    test(`none holds ${what}`, () => {
      const found = product.filter((file) => pattern.test(read(file)));
      assert.deepEqual(found, []);
    });

  test("none names the directory it was written in", () => {
    // a root such as /app may well be named, in a Dockerfile for one
    const directory = root.split("/").length > 2 ? root : "\0";
    assert.deepEqual(
      files.filter((file) => read(file).includes(directory)),
      [],
    );
  });

  test("the lockfile names each platform's optional packages and no registry", () => {
    const text = readFileSync(join(root, "package-lock.json"), "utf8");
    const { packages } = JSON.parse(text) as { packages: Record<string, { resolved?: string; optionalDependencies?: object }> };
    const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies));
    const absent = wanted.filter((name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)));
    assert.deepEqual(absent, [], "run 'node scripts/lock.mjs'");
    assert.doesNotMatch(text, /"resolved"/);
  });

  test("package.json pins exact versions", () => {
    const manifest = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies });
    const loose = versions.filter(([, version]) => !/^(npm:@?[^@]+@)?\d+\.\d+\.\d+$/.test(version));
    assert.ok(versions.length > 30);
    assert.deepEqual(loose, []);
  });
});
