import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keystoreFile, openIdentity, readIdentity } from "../../../src/identity/open.ts";
import { isRetiring, openRetired, prepareNext, replaceIdentity, retiredAddresses, retiredFile } from "../../../src/identity/retiring.ts";
import { describe } from "../../support/harness.ts";

const place = async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "mystnode-retiring-"));
  const { identity } = await openIdentity(dataDir);
  return { dataDir, identity, [Symbol.asyncDispose]: () => rm(dataDir, { recursive: true }) };
};

describe("identity/retiring", (test) => {
  test("the next key is made once, and takes the old one's place; the old one stays, encrypted", async () => {
    await using m = await place();
    const { dataDir, identity } = m;
    assert.equal(await isRetiring(dataDir), false);
    const next = await prepareNext(dataDir, {});
    assert.equal((await prepareNext(dataDir, {})).address, next.address);
    assert.equal(await isRetiring(dataDir), true);
    assert.equal((await readIdentity(dataDir)).address, identity.address);
    await replaceIdentity(dataDir, identity.address);
    assert.equal((await readIdentity(dataDir)).address, next.address);
    assert.equal(await isRetiring(dataDir), false);
    assert.deepEqual(await retiredAddresses(dataDir), [identity.address]);
    assert.equal((await openRetired(dataDir, {}, identity.address)).address, identity.address);
    const text = await readFile(retiredFile(dataDir, identity.address), "utf8");
    assert.ok(!text.includes(Buffer.from(identity.exportKey()).toString("hex")));
  });

  test("broken off between the copy of the old key and the change, it ends the same", async () => {
    await using m = await place();
    const { dataDir, identity } = m;
    const next = await prepareNext(dataDir, {});
    await mkdir(join(dataDir, "identity", "retired"));
    await copyFile(keystoreFile(dataDir), retiredFile(dataDir, identity.address));
    await replaceIdentity(dataDir, identity.address);
    assert.equal((await readIdentity(dataDir)).address, next.address);
    assert.equal((await openRetired(dataDir, {}, identity.address)).address, identity.address);
  });

  test("without a next key nothing takes the old one's place", async () => {
    await using m = await place();
    const { dataDir, identity } = m;
    await assert.rejects(replaceIdentity(dataDir, identity.address), { code: "IDENTITY_MISSING" });
    assert.deepEqual(await retiredAddresses(dataDir), []);
    assert.equal((await readIdentity(dataDir)).address, identity.address);
    await assert.rejects(openRetired(dataDir, {}, identity.address), { code: "IDENTITY_MISSING" });
  });
});
