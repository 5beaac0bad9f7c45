import { createCipheriv, createDecipheriv, pbkdf2, randomBytes, randomUUID, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { z } from "zod";
import { MystError } from "../lib/errors.ts";
import { keccak256 } from "../lib/keccak.ts";
import { addressOf, publicKeyOf } from "./signature.ts";

/**
 * scrypt's cost. A passphrase of 256 random bits needs no slowing down; one that a person can remember does: 2^17 takes about half
 * a second and 128 MiB.
 */
export type KeystoreStrength = "random" | "memorable";
const cost: Record<KeystoreStrength, number> = { random: 2 ** 12, memorable: 2 ** 17 };

const cipher = "aes-128-ctr";
/** What we read of others: more would only serve to exhaust memory. */
const mostMemory = 2 ** 30;
const hex = (bytes: number) => z.string().regex(new RegExp(`^(0x)?[0-9a-fA-F]{${2 * bytes}}$`));
const anySalt = z.string().regex(/^([0-9a-fA-F]{2}){1,128}$/);
const common = { cipher: z.literal(cipher), ciphertext: hex(32), cipherparams: z.object({ iv: hex(16) }), mac: hex(32) };
/** OpenSSL holds to the limit n < 2^(16 r) of RFC 7914. Many tools, ox among them, write n = 2^18 with r = 1 and p = 8: these ox reads. */
const beyondRfc = ({ n, r }: { n: number; r: number }): boolean => n >= 2 ** (16 * r);
const scryptParams = z
  .object({
    dklen: z.literal(32),
    n: z
      .int()
      .min(2)
      .refine((n) => Number.isInteger(Math.log2(n))),
    r: z.int().min(1).max(32),
    p: z.int().min(1).max(16),
    salt: anySalt,
  })
  .refine(({ n, r }) => 128 * n * r <= mostMemory, "needs too much memory")
  .refine(({ n, r, p }) => !beyondRfc({ n, r }) || (r === 1 && p === 8), "is no scrypt of RFC 7914");
const pbkdf2Params = z.object({ dklen: z.literal(32), c: z.int().min(1).max(10_000_000), prf: z.literal("hmac-sha256"), salt: anySalt });
const keystoreSchema = z.object({
  version: z.literal(3),
  address: hex(20).optional(),
  crypto: z.discriminatedUnion("kdf", [
    z.object({ ...common, kdf: z.literal("scrypt"), kdfparams: scryptParams }),
    z.object({ ...common, kdf: z.literal("pbkdf2"), kdfparams: pbkdf2Params }),
  ]),
});
type Crypto = z.output<typeof keystoreSchema>["crypto"];

/** A private key as Web3 Secret Storage, version 3: what geth and every wallet read. `key` has 32 bytes. */
export async function writeKeystore(key: Uint8Array, passphrase: string, strength: KeystoreStrength): Promise<string> {
  const kdfparams = { dklen: 32 as const, n: cost[strength], r: 8, p: 1, salt: randomBytes(32).toString("hex") };
  const derived = await derive({ kdf: "scrypt", kdfparams }, passphrase);
  const iv = randomBytes(16);
  const ciphertext = createCipheriv(cipher, derived.subarray(0, 16), iv).update(key);
  const crypto: Crypto = {
    cipher,
    ciphertext: ciphertext.toString("hex"),
    cipherparams: { iv: iv.toString("hex") },
    kdf: "scrypt",
    kdfparams,
    mac: macOf(derived, ciphertext).toString("hex"),
  };
  return `${JSON.stringify({ address: addressOf(publicKeyOf(key)).slice(2), crypto, id: randomUUID(), version: 3 }, null, 2)}\n`;
}

/**
 * The private key in a V3 keystore, scrypt or PBKDF2. `from` names the passphrase's source in the error.
 * @throws KEYSTORE_INVALID, PASSPHRASE_WRONG
 */
export async function readKeystore(text: string, passphrase: string, from = "the passphrase"): Promise<Uint8Array> {
  const { crypto, address } = parse(text);
  const derived = await derive(crypto, passphrase);
  const ciphertext = fromHex(crypto.ciphertext);
  if (!macOf(derived, ciphertext).equals(fromHex(crypto.mac)))
    throw new MystError("PASSPHRASE_WRONG", `${from} does not open this key`, {
      hint: "give the right one with --password-file FILE, or restore the key from a backup with 'mystnode identity import FILE'",
    });
  const key = createDecipheriv(cipher, derived.subarray(0, 16), fromHex(crypto.cipherparams.iv)).update(ciphertext);
  const own = addressOf(publicKeyOf(key)).slice(2);
  if (address && address.replace(/^0x/, "").toLowerCase() !== own) throw invalid("its address belongs to another key");
  return Uint8Array.from(key);
}

function parse(text: string): z.output<typeof keystoreSchema> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw invalid("it is not JSON");
  }
  const parsed = keystoreSchema.safeParse(raw);
  if (!parsed.success) throw invalid(`${parsed.error.issues[0]?.path.join(".") || "its structure"} is not as version 3 has it`);
  return parsed.data;
}

const fromHex = (text: string): Buffer => Buffer.from(text.replace(/^0x/, ""), "hex");

/** keccak-256 of the second half of what was derived, and the ciphertext */
const macOf = (derived: Uint8Array, ciphertext: Uint8Array): Buffer =>
  Buffer.from(keccak256(Buffer.concat([derived.subarray(16, 32), ciphertext])));

/** From node:crypto where it can: off the main thread, and many times as fast. ox, which few keystores need, is loaded for these. */
async function derive({ kdf, kdfparams }: Pick<Crypto, "kdf" | "kdfparams">, passphrase: string): Promise<Uint8Array> {
  const salt = Buffer.from(kdfparams.salt, "hex");
  if (kdf === "pbkdf2" && "c" in kdfparams) return promisify(pbkdf2)(passphrase, salt, kdfparams.c, 32, "sha256");
  const { n, r, p } = kdfparams as z.output<typeof scryptParams>;
  if (beyondRfc({ n, r })) {
    const { scryptAsync } = await import("ox/Keystore");
    const [key] = await scryptAsync({ n, salt: `0x${kdfparams.salt}`, password: passphrase });
    return Buffer.from((typeof key === "function" ? key() : key).slice(2), "hex");
  }
  return new Promise((resolve, reject) =>
    scrypt(passphrase, salt, 32, { N: n, r, p, maxmem: 2 * mostMemory }, (error, derived) => (error ? reject(error) : resolve(derived))),
  );
}

const invalid = (why: string) =>
  new MystError("KEYSTORE_INVALID", `that is no keystore: ${why}`, {
    hint: "a keystore is a JSON file of version 3; restore it from a backup with 'mystnode identity import FILE'",
  });
