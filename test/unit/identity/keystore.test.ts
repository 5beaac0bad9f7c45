import assert from "node:assert/strict";
import { scryptSync } from "node:crypto";
import { decrypt, type Keystore } from "ox/Keystore";
import { readKeystore, writeKeystore } from "../../../src/identity/keystore.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

/** The test vectors of the Web3 Secret Storage Definition, version 3; passphrase "testpassword". */
const specKey = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const spec = {
  pbkdf2: {
    crypto: {
      cipher: "aes-128-ctr",
      cipherparams: { iv: "6087dab2f9fdbbfaddc31a909735c1e6" },
      ciphertext: "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
      kdf: "pbkdf2",
      kdfparams: { c: 262144, dklen: 32, prf: "hmac-sha256", salt: "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd" },
      mac: "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    id: "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    version: 3,
  },
  scrypt: {
    crypto: {
      cipher: "aes-128-ctr",
      cipherparams: { iv: "83dbcc02d8ccb40e466191a123791e0e" },
      ciphertext: "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
      kdf: "scrypt",
      kdfparams: { dklen: 32, n: 262144, p: 8, r: 1, salt: "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19" },
      mac: "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    id: "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    version: 3,
  },
};
const key = new Uint8Array(32).fill(9);
const code = (expected: "KEYSTORE_INVALID" | "PASSPHRASE_WRONG") => (error: Error) =>
  isMystError(error, expected) && Boolean(error.hint) && error.cause === undefined;

describe("identity/keystore: Web3 Secret Storage, version 3", (test) => {
  test("reads what the definition gives as examples", async () => {
    for (const keystore of Object.values(spec)) {
      const read = await readKeystore(JSON.stringify(keystore), "testpassword");
      assert.equal(Buffer.from(read).toString("hex"), specKey);
    }
  });

  test("reads what it writes, of either strength, and names the address", async () => {
    for (const strength of ["random", "memorable"] as const) {
      const text = await writeKeystore(key, "correct horse", strength);
      assert.deepEqual(await readKeystore(text, "correct horse"), key);
      const { address, crypto } = JSON.parse(text);
      assert.match(address, /^[0-9a-f]{40}$/);
      assert.ok(crypto.kdfparams.n >= (strength === "random" ? 2 ** 12 : 2 ** 17));
      assert.ok(!text.includes(Buffer.from(key).toString("hex")));
    }
  });

  test("others read what it writes", async () => {
    const { crypto, ...rest } = JSON.parse(await writeKeystore(key, "correct horse", "random"));
    const { n, r, p, salt } = crypto.kdfparams;
    const derived = scryptSync("correct horse", Buffer.from(salt, "hex"), 32, { N: n, r, p });
    assert.deepEqual(decrypt({ crypto, ...rest } as Keystore, `0x${derived.toString("hex")}`, { as: "Bytes" }), key);
  });

  test("a wrong passphrase and a damaged file are two errors", async () => {
    const text = await writeKeystore(key, "correct horse", "random");
    await assert.rejects(readKeystore(text, "wrong horse"), code("PASSPHRASE_WRONG"));
    const keystore = JSON.parse(text);
    const broken = [
      "",
      "[]",
      "{}",
      text.slice(0, -20),
      JSON.stringify({ ...keystore, version: 1 }),
      JSON.stringify({ ...keystore, address: "00".repeat(20) }),
      JSON.stringify({ ...keystore, crypto: { ...keystore.crypto, cipher: "aes-128-cbc" } }),
    ];
    for (const each of broken) await assert.rejects(readKeystore(each, "correct horse"), code("KEYSTORE_INVALID"), each);
  });

  test("a keystore cannot exhaust memory or time", async () => {
    const keystore = JSON.parse(await writeKeystore(key, "x", "random"));
    const scrypt = (n: number, r: number) => ({ ...keystore.crypto, kdfparams: { ...keystore.crypto.kdfparams, n, r } });
    for (const crypto of [scrypt(2 ** 30, 8), scrypt(3, 8), scrypt(2 ** 22, 32)])
      await assert.rejects(readKeystore(JSON.stringify({ ...keystore, crypto }), "x"), code("KEYSTORE_INVALID"));
    const pbkdf2 = structuredClone(spec.pbkdf2);
    pbkdf2.crypto.kdfparams.c = 1e9;
    await assert.rejects(readKeystore(JSON.stringify(pbkdf2), "testpassword"), code("KEYSTORE_INVALID"));
  });
});
