import assert from "node:assert/strict";
import { appendFile, cp, mkdtemp, readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMystError } from "../../../src/lib/errors.ts";
import { openStore, type Store } from "../../../src/lib/store.ts";
import { describe } from "../../support/harness.ts";
import { filesOf, type Harm, harm, type Part, passOff, twinOf } from "../../support/store-copies.ts";

const text = (value: Uint8Array | undefined) => value && Buffer.from(value).toString();
const bytes = (value: string) => Uint8Array.from(Buffer.from(value));
const contents = async (store: Store) => {
  const found: Record<string, string> = {};
  for await (const [key, value] of store.table("t").entries()) found[key] = Buffer.from(value).toString();
  return found;
};

/** A database that has been opened several times, so that it has files of every sort, and a log of more than one of its blocks. */
async function made(directory: string): Promise<Record<string, string>> {
  for (let life = 0; life < 3; life += 1) {
    await using store = await openStore(directory);
    const table = store.table("t");
    for (let i = 0; i < 12; i += 1) await store.write([table.put(`k${i % 7}`, bytes(`value ${life} ${i} ${"x".repeat(400 * i)}`))]);
    await store.write([table.del("k3")]);
  }
  await using store = await openStore(directory);
  for (let i = 0; i < 30; i += 1) await store.write([store.table("t").put(`n${i}`, bytes(`${i} ${"y".repeat(4_000)}`))]);
  return await contents(store);
}

describe("lib/store: what is acknowledged is there, or it is said that it is not", (test, { before, after }) => {
  let root: string;
  let whole: Record<string, string>;
  const base = () => join(root, "base");
  let copies = 0;
  const twin = async () => {
    copies += 1;
    const directory = join(root, String(copies));
    await twinOf(join(base(), "db"), join(directory, "db"));
    return directory;
  };
  /** like a twin, with a mark of its own */
  const lookalike = async () => {
    copies += 1;
    const directory = join(root, String(copies));
    await cp(base(), directory, { recursive: true });
    await passOff(join(directory, "db"));
    return directory;
  };
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "mystnode-store-"));
    whole = await made(base());
  });
  after(() => rm(root, { recursive: true }));

  test("writes are all or nothing, in order, and there after a restart", async () => {
    const directory = join(root, "plain");
    {
      await using store = await openStore(directory);
      const [a, b] = [store.table("a"), store.table("b")];
      await Promise.all([
        store.write([a.put("x", bytes("1")), b.put("x", bytes("2"))]),
        store.write([a.put("x", bytes("3"))]),
        store.writeLazily([a.put("y", bytes("4")), a.del("y")]),
        store.write([a.put("x", bytes("5")), b.del("x")]),
      ]);
      assert.equal(store.doubt(), undefined);
    }
    await using store = await openStore(directory);
    assert.equal(text(await store.table("a").get("x")), "5");
    assert.equal(await store.table("b").get("x"), undefined);
    assert.equal(await store.table("a").get("y"), undefined);
    assert.equal(store.doubt(), undefined);
  });

  test("the same directory has one owner", async () => {
    const directory = await twin();
    await using _ = await openStore(directory);
    await assert.rejects(openStore(directory), { code: "DATA_DIR_LOCKED" });
  });

  test("a twin is as good as the original", async () => {
    await using store = await openStore(await twin());
    assert.deepEqual(await contents(store), whole);
    assert.equal(store.doubt(), undefined);
  });

  test("a copy is known for one, until it is trusted; also one that is put in the place of what came after it", async () => {
    const directory = join(root, "copied");
    await cp(base(), directory, { recursive: true });
    for (let life = 0; life < 2; life += 1) {
      await using store = await openStore(directory);
      assert.equal(store.doubt(), "copied");
      assert.deepEqual(await contents(store), whole);
    }
    {
      await using store = await openStore(directory);
      await store.trust();
      assert.equal(store.doubt(), undefined);
    }
    await cp(join(directory, "db"), join(directory, "backup"), { recursive: true });
    {
      await using store = await openStore(directory);
      assert.equal(store.doubt(), undefined);
      await store.write([store.table("t").put("later", bytes("1"))]);
    }
    // over the files that are there, which keep when they were made
    for (const name of await readdir(join(directory, "db"))) if (name !== "mark") await rm(join(directory, "db", name));
    await cp(join(directory, "backup"), join(directory, "db"), { recursive: true });
    await using store = await openStore(directory);
    assert.equal(store.doubt(), "copied");
  });

  test("one that nothing tells from the original passes for it: that is what a snapshot brought back comes to", async () => {
    await using store = await openStore(await lookalike());
    assert.equal(store.doubt(), undefined);
  });

  test("a log that ends early, or is missing, is not taken for a whole one", async () => {
    const directory = join(root, "log");
    {
      await using store = await openStore(directory);
      for (let i = 0; i < 5; i += 1) await store.write([store.table("t").put("n", bytes(String(i)))]);
    }
    const [log = ""] = await filesOf(join(directory, "db"), "log");
    await truncate(log, 200);
    await using store = await openStore(directory);
    assert.equal(store.doubt(), "writes lost");
    assert.notEqual(text(await store.table("t").get("n")), "4");
    await store.trust();
    await store.write([store.table("t").put("n", bytes("5"))]);
    await store.close();
    await using again = await openStore(directory);
    assert.equal(again.doubt(), undefined);
  });

  test("what a crash has left half written was never acknowledged, and costs nothing", async () => {
    const directory = await twin();
    {
      await using store = await openStore(directory);
      await store.write([store.table("t").put("k0", bytes("last"))]);
    }
    const [log = ""] = await filesOf(join(directory, "db"), "log");
    await appendFile(log, Uint8Array.of(1, 2, 3, 4, 40, 0, 1, 9, 9, 9));
    await using store = await openStore(directory);
    assert.equal(store.doubt(), undefined);
    assert.equal(text(await store.table("t").get("k0")), "last");
  });

  test("a start that was broken off between the database and its mark costs nothing", async () => {
    const directory = await twin();
    const at = (name: string) => join(directory, "db", name);
    await rename(at("mark"), at("mark.next"));
    await writeFile(at("mark"), "another, from before");
    for (let life = 0; life < 2; life += 1) {
      await using store = await openStore(directory);
      assert.equal(store.doubt(), undefined);
    }
    assert.ok(!(await readdir(join(directory, "db"))).includes("mark.next"));
  });

  test("without its CURRENT a database is not begun anew over what there is", async () => {
    const directory = await twin();
    await harm(join(directory, "db", "CURRENT"), "gone", 0);
    const files = await readdir(join(directory, "db"));
    await assert.rejects(openStore(directory), { code: "STORE_CORRUPT" });
    assert.deepEqual(await readdir(join(directory, "db")), files);
  });

  const parts: Part[] = ["log", "table", "manifest", "current", "mark"];
  const harms: Harm[] = ["cut off", "bits flipped", "zeroed", "gone"];
  test("whatever is done to its files, it is whole, or refused with what is wrong, or says that it is not the newest", async () => {
    const seen: Record<string, number> = {};
    for (const part of parts)
      for (const how of harms)
        for (let i = 0; i < (how === "gone" ? 1 : 6); i += 1) {
          const directory = await (part === "mark" ? lookalike() : twin());
          const files = await filesOf(join(directory, "db"), part);
          const file = files[i % files.length];
          assert.ok(file, `there is no ${part}`);
          await harm(file, how, (i + 0.37) / 6);
          const name = `${part} ${how} at ${i}`;
          try {
            await using store = await openStore(directory);
            const isWhole = JSON.stringify(await contents(store)) === JSON.stringify(whole);
            assert.ok(isWhole || store.doubt() !== undefined, `${name}: differs, and nobody is told`);
            const outcome = isWhole ? "whole" : "in doubt";
            seen[outcome] = (seen[outcome] ?? 0) + 1;
          } catch (error) {
            assert.ok(isMystError(error, "STORE_CORRUPT"), `${name}: ${error}`);
            seen.refused = (seen.refused ?? 0) + 1;
          }
          await rm(directory, { recursive: true });
        }
    assert.ok((seen.refused ?? 0) > 10 && (seen.whole ?? 0) > 0, JSON.stringify(seen));
  });
});
