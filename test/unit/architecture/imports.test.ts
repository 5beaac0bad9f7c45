import assert from "node:assert/strict";
import { describe } from "../../support/harness.ts";
import { allImports, allowedImports, findCircle, importsOf, partOf, sourceFiles } from "./imports.ts";

const files = new Set(sourceFiles());
const imports = allImports();
const own = imports.filter(({ to }) => files.has(to));

describe("architecture: imports", (test) => {
  test("the scanner sees every form of import", () => {
    const text = [
      'import a from "./a.ts";',
      "import { b,",
      '  c } from "./b.ts";',
      'import type { D } from "./d.ts";',
      'export { e } from "e";',
      'import "./f.ts";',
      '// import g from "./g.ts"',
      '  const h = await import("./h.ts");',
    ].join("\n");
    assert.deepEqual(
      importsOf(text).map(({ to, kind }) => `${kind} ${to}`),
      ["value ./a.ts", "value ./b.ts", "type ./d.ts", "value e", "value ./f.ts", "lazy ./h.ts"],
    );
    assert.ok(own.length > 100);
  });

  test("each relative import is of a file that is there", () => {
    const absent = imports.filter(({ to }) => to.endsWith(".ts") && !files.has(to));
    assert.deepEqual(absent, []);
  });

  test("the table in ARCHITECTURE.md allows each import", () => {
    const allowed = allowedImports();
    const parts = new Set([...files].map(partOf));
    assert.deepEqual([...parts].sort(), [...allowed.keys()].filter((part) => parts.has(part)).sort());
    const forbidden = own.filter(({ from, to }) => partOf(from) !== partOf(to) && !allowed.get(partOf(from))?.includes(partOf(to)));
    assert.deepEqual(
      forbidden.map(({ from, to }) => `${from} imports ${to}`),
      [],
    );
  });

  test("the table itself has no circle", () => {
    assert.equal(findCircle(allowedImports()), undefined);
    assert.deepEqual(
      findCircle(
        new Map([
          ["a", ["b"]],
          ["b", ["c"]],
          ["c", ["b"]],
        ]),
      ),
      ["b", "c", "b"],
    );
  });

  test("no files load one another in a circle", () => {
    // two files may know each other's types: that loads nothing
    const loaded = own.filter(({ kind }) => kind !== "type");
    const edges = Map.groupBy(loaded, ({ from }) => from);
    assert.equal(findCircle(new Map([...edges].map(([from, list]) => [from, list.map(({ to }) => to)]))), undefined);
  });

  test("services know nothing of one another, nor does a part know of the command line", () => {
    const kinds = (file: string) => /^services\/(\w+)\//.exec(file)?.[1];
    for (const { from, to } of own) if (kinds(from) && kinds(to)) assert.equal(kinds(from), kinds(to), `${from} imports ${to}`);
  });

  test("'mystnode --help' loads neither chain nor network nor database", () => {
    const eager = new Set<string>();
    const packages = new Set<string>();
    const load = (file: string) => {
      if (eager.has(file)) return;
      eager.add(file);
      for (const { from, to, kind } of imports) {
        if (from !== file || kind !== "value") continue;
        if (files.has(to)) load(to);
        else packages.add(to);
      }
    };
    load("cli/main.ts");
    const heavy = [...packages].filter((name) =>
      /^(viem|libp2p|level|classic-level|ox|hono|pino|@libp2p|@chainsafe|@hono|@multiformats)(\/|$)/.test(name),
    );
    assert.deepEqual(heavy, []);
    assert.ok(eager.size > 3);
  });
});
