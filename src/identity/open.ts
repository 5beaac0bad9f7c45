import { randomBytes } from "node:crypto";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { readIfThere, writeNew } from "./files.ts";
import { createIdentity, type Identity } from "./identity.ts";
import { readKeystore, writeKeystore } from "./keystore.ts";
import {
  findPassphrase,
  generatedFile,
  generatedPassphrase,
  generatePassphrase,
  givenPassphrase,
  type Passphrase,
  type PassphraseSource,
} from "./passphrase.ts";

export const keystoreFile = (dataDir: string): string => join(dataDir, "identity", "keystore.json");

/**
 * The identity of a data directory; made on first use, locked with the passphrase that is set, or else with a random one that is kept
 * beside it. `created`: nobody can have used this key before.
 * @throws KEYSTORE_INVALID, PASSPHRASE_WRONG, PASSPHRASE_MISSING, PASSPHRASE_FILE, DATA_DIR_UNUSABLE
 */
export async function openIdentity(dataDir: string, source: PassphraseSource = {}): Promise<{ identity: Identity; created: boolean }> {
  const known = await tryRead(dataDir, source);
  if (known) return { identity: known, created: false };
  const given = await givenPassphrase(source);
  try {
    return { identity: await create(dataDir, newKey(), given), created: true };
  } catch (error) {
    if (!(error instanceof MystError) || error.code !== "IDENTITY_EXISTS") throw error;
    // Another process was first.
    return { identity: await readIdentity(dataDir, source), created: false };
  }
}

/** The identity of a data directory that has one. @throws IDENTITY_MISSING and as `openIdentity` */
export async function readIdentity(dataDir: string, source: PassphraseSource = {}): Promise<Identity> {
  const identity = await tryRead(dataDir, source);
  if (identity) return identity;
  throw new MystError("IDENTITY_MISSING", `there is no identity in ${dataDir}`, {
    hint: "make one with 'mystnode init', or give the --data-dir that has it",
  });
}

/**
 * Puts an identity into a data directory that has none: `key` (32 bytes) or a new one, locked with `passphrase` or with a random one
 * that is kept beside it.
 * @throws IDENTITY_EXISTS, KEYSTORE_INVALID for a key that is none, DATA_DIR_UNUSABLE
 */
export async function createIdentityIn(dataDir: string, options: { passphrase?: string; key?: Uint8Array } = {}): Promise<Identity> {
  const { passphrase: text, key = newKey() } = options;
  return create(dataDir, key, text === undefined ? undefined : { text, from: "the passphrase", generated: false });
}

/** The key as a V3 keystore under a passphrase of its own, to be kept elsewhere. It holds the key only, none of what was promised with it. */
export const exportKeystore = (identity: Pick<Identity, "exportKey">, passphrase: string): Promise<string> =>
  writeKeystore(identity.exportKey(), passphrase, "memorable");

/** The private key in an exported keystore, for `createIdentityIn`. @throws KEYSTORE_INVALID, PASSPHRASE_WRONG */
export const importKeystore = (text: string, passphrase: string): Promise<Uint8Array> => readKeystore(text, passphrase);

export const hasIdentity = async (dataDir: string): Promise<boolean> => (await readIfThere(keystoreFile(dataDir))) !== undefined;

/** The address that the keystore of a data directory says it is of, without opening it; undefined where it does not say. */
export async function recordedAddress(dataDir: string): Promise<Hex | undefined> {
  const text = await readIfThere(keystoreFile(dataDir)).catch(() => undefined);
  const address = /"address":\s*"(?:0x)?([0-9a-fA-F]{40})"/.exec(text ?? "")?.[1];
  return address === undefined ? undefined : `0x${address.toLowerCase()}`;
}

export const newKey = (): Uint8Array => Uint8Array.from(randomBytes(32));

async function tryRead(dataDir: string, source: PassphraseSource): Promise<Identity | undefined> {
  const text = await readIfThere(keystoreFile(dataDir));
  if (text === undefined) return undefined;
  const passphrase = await findPassphrase(dataDir, source);
  return createIdentity(await readKeystore(text, passphrase.text, passphrase.from));
}

/** The generated passphrase is on disk before the key that it locks: a crash in between leaves one to be used the next time. */
async function create(dataDir: string, key: Uint8Array, given: Passphrase | undefined): Promise<Identity> {
  const identity = createIdentity(key);
  const exists = () =>
    new MystError("IDENTITY_EXISTS", `there is an identity in ${dataDir} already`, {
      hint: "look at it with 'mystnode identity show', or choose another --data-dir for a new one",
    });
  if ((await readIfThere(keystoreFile(dataDir))) !== undefined) throw exists();
  const { text, generated } = given ?? (await ownPassphrase(dataDir));
  const keystore = await writeKeystore(key, text, generated ? "random" : "memorable");
  if (!(await writeNew(keystoreFile(dataDir), keystore))) throw exists();
  // One left from a broken attempt would be tried before the person is asked.
  if (given) await unlink(generatedFile(dataDir)).catch(() => undefined);
  return identity;
}

async function ownPassphrase(dataDir: string): Promise<Passphrase> {
  const made = generatePassphrase();
  if (await writeNew(generatedFile(dataDir), `${made}\n`)) return { text: made, from: "the generated passphrase", generated: true };
  const known = await generatedPassphrase(dataDir);
  return known ?? ownPassphrase(dataDir);
}
