import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeNew } from "../../../src/identity/files.ts";
import { createIdentity } from "../../../src/identity/identity.ts";
import { writeKeystore } from "../../../src/identity/keystore.ts";
import { createIdentityIn, exportKeystore, importKeystore, keystoreFile, openIdentity, readIdentity } from "../../../src/identity/open.ts";
import { generatedFile } from "../../../src/identity/passphrase.ts";
import { type ErrorCode, isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

async function inDirectory(use: (dataDir: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-identity-"));
  const credentials = process.env.CREDENTIALS_DIRECTORY;
  delete process.env.CREDENTIALS_DIRECTORY;
  try {
    await use(directory);
  } finally {
    if (credentials !== undefined) process.env.CREDENTIALS_DIRECTORY = credentials;
    else delete process.env.CREDENTIALS_DIRECTORY;
    await rm(directory, { recursive: true });
  }
}
const fails = (code: ErrorCode, hint: RegExp) => (error: Error) => isMystError(error, code) && hint.test(error.hint ?? "");
const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
const prompt = (answer: string) => ({ prompt: async () => answer });

describe("identity/open: the key of a data directory", (test) => {
  test("is made on first use, found again after it, and only its owner can read it", () =>
    inDirectory(async (dataDir) => {
      const first = await openIdentity(dataDir);
      const second = await openIdentity(dataDir);
      assert.deepEqual([first.created, second.created], [true, false]);
      assert.equal(second.identity.peerId, first.identity.peerId);
      assert.deepEqual((await readdir(join(dataDir, "identity"))).sort(), ["keystore.json", "passphrase"]);
      assert.equal(await mode(join(dataDir, "identity")), "700");
      assert.equal(await mode(keystoreFile(dataDir)), "600");
      assert.equal(await mode(generatedFile(dataDir)), "600");
    }));

  test("two that come first at once get one key", () =>
    inDirectory(async (dataDir) => {
      const all = await Promise.all([1, 2, 3, 4].map(() => openIdentity(dataDir)));
      assert.equal(new Set(all.map(({ identity }) => identity.address)).size, 1);
      assert.equal(all.filter(({ created }) => created).length, 1);
    }));

  test("a crash between passphrase and key leaves nothing that needs a hand", () =>
    inDirectory(async (dataDir) => {
      await mkdir(join(dataDir, "identity"));
      await writeFile(generatedFile(dataDir), "left over\n");
      const { identity } = await openIdentity(dataDir);
      assert.equal((await openIdentity(dataDir)).identity.address, identity.address);
    }));

  test("the passphrase comes from the file, then the credential, then the generated file, then the person", () =>
    inDirectory(async (dataDir) => {
      const file = join(dataDir, "secret");
      await writeFile(file, "from the file\r\nsecond line\n");
      const identity = createIdentity(new Uint8Array(32).fill(5));
      await writeNew(keystoreFile(dataDir), await writeKeystore(identity.exportKey(), "from the file", "random"));
      assert.equal((await readIdentity(dataDir, prompt("from the file"))).address, identity.address);
      await assert.rejects(readIdentity(dataDir), fails("PASSPHRASE_MISSING", /--password-file/));

      process.env.CREDENTIALS_DIRECTORY = dataDir;
      await writeFile(join(dataDir, "mystnode-passphrase"), "from the credential\n");
      await assert.rejects(readIdentity(dataDir, prompt("from the file")), fails("PASSPHRASE_WRONG", /--password-file/));
      assert.equal((await readIdentity(dataDir, { file })).address, identity.address);
      await writeFile(join(dataDir, "mystnode-passphrase"), "from the file");
      assert.equal((await readIdentity(dataDir)).address, identity.address);
    }));

  test("a passphrase that is set locks a new key, and none is generated", () =>
    inDirectory(async (dataDir) => {
      const file = join(dataDir, "secret");
      await writeFile(file, "mine\n");
      // left over from an attempt that was broken off
      await mkdir(join(dataDir, "identity"));
      await writeFile(generatedFile(dataDir), "left over\n");
      const { identity } = await openIdentity(dataDir, { file });
      assert.deepEqual(await readdir(join(dataDir, "identity")), ["keystore.json"]);
      assert.equal((await readIdentity(dataDir, prompt("mine"))).address, identity.address);
    }));

  test("what is set goes before what was generated", () =>
    inDirectory(async (dataDir) => {
      await openIdentity(dataDir);
      const file = join(dataDir, "secret");
      await writeFile(file, "mine\n");
      await assert.rejects(openIdentity(dataDir, { file }), fails("PASSPHRASE_WRONG", /--password-file/));
    }));

  test("a password file that cannot serve is said, and makes no key", () =>
    inDirectory(async (dataDir) => {
      const file = join(dataDir, "secret");
      await assert.rejects(openIdentity(dataDir, { file }), fails("PASSPHRASE_FILE", /first line/));
      await writeFile(file, "\nsecond\n");
      await assert.rejects(openIdentity(dataDir, { file }), fails("PASSPHRASE_FILE", /first line/));
      await assert.rejects(readIdentity(dataDir), fails("IDENTITY_MISSING", /mystnode init/));
    }));

  test("a key never takes the place of another", () =>
    inDirectory(async (dataDir) => {
      await openIdentity(dataDir);
      const before = await readFile(keystoreFile(dataDir), "utf8");
      await assert.rejects(createIdentityIn(dataDir, { passphrase: "mine" }), fails("IDENTITY_EXISTS", /--data-dir/));
      assert.equal(await readFile(keystoreFile(dataDir), "utf8"), before);
    }));

  test("what is exported under one passphrase can be imported elsewhere", () =>
    inDirectory(async (dataDir) => {
      const { identity } = await openIdentity(join(dataDir, "a"));
      const text = await exportKeystore(identity, "on paper");
      const key = await importKeystore(text, "on paper");
      const imported = await createIdentityIn(join(dataDir, "b"), { key });
      assert.equal(imported.address, identity.address);
      assert.equal((await readIdentity(join(dataDir, "b"))).address, identity.address);
    }));

  test("a damaged keystore is said to be one", () =>
    inDirectory(async (dataDir) => {
      await openIdentity(dataDir);
      await writeFile(keystoreFile(dataDir), (await readFile(keystoreFile(dataDir), "utf8")).slice(0, 200));
      await assert.rejects(openIdentity(dataDir), fails("KEYSTORE_INVALID", /identity import/));
    }));
});
