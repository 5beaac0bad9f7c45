import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { readIfThere, syncDirectory, writeNew } from "./files.ts";
import { createIdentity, type Identity } from "./identity.ts";
import { readKeystore, writeKeystore } from "./keystore.ts";
import { keystoreFile, newKey } from "./open.ts";
import { findPassphrase, type PassphraseSource } from "./passphrase.ts";

/** One key takes another's place: `next.json` is there from the wish on, and becomes the keystore once all is done with the old one. */
const nextFile = (dataDir: string): string => join(dataDir, "identity", "next.json");
const retiredDirectory = (dataDir: string): string => join(dataDir, "identity", "retired");
export const retiredFile = (dataDir: string, address: Hex): string => join(retiredDirectory(dataDir), `${address}.json`);

/** Whether a retirement has begun and not ended. */
export const isRetiring = async (dataDir: string): Promise<boolean> => (await readIfThere(nextFile(dataDir))) !== undefined;

/**
 * The key that is to take the present one's place, locked with the same passphrase; on disk when this resolves, and the same one when
 * asked again.
 * @throws KEYSTORE_INVALID, PASSPHRASE_WRONG, PASSPHRASE_MISSING, DATA_DIR_UNUSABLE
 */
export async function prepareNext(dataDir: string, source: PassphraseSource): Promise<Identity> {
  const { text, from, generated } = await findPassphrase(dataDir, source);
  const known = await readIfThere(nextFile(dataDir));
  if (known !== undefined) return createIdentity(await readKeystore(known, text, from));
  const key = newKey();
  if (!(await writeNew(nextFile(dataDir), await writeKeystore(key, text, generated ? "random" : "memorable"))))
    return prepareNext(dataDir, source);
  return createIdentity(key);
}

/**
 * Puts the prepared key in the place of the present one, which stays, encrypted as it is, under `retired/`. There is an identity at
 * every moment, and no key is ever without a file. The caller holds the data directory's lock.
 */
export async function replaceIdentity(dataDir: string, old: Hex): Promise<void> {
  const text = await readIfThere(keystoreFile(dataDir));
  if (text === undefined || (await readIfThere(nextFile(dataDir))) === undefined)
    throw new MystError("IDENTITY_MISSING", `there is no key in ${dataDir} to take the place of another`);
  await writeNew(retiredFile(dataDir, old), text);
  await rename(nextFile(dataDir), keystoreFile(dataDir));
  await syncDirectory(join(dataDir, "identity"));
}

const handoverFile = (dataDir: string, address: Hex): string => join(retiredDirectory(dataDir), `${address}.handover`);

/** Keeps what the old key has signed of the new one, for as long as the data directory is there. The same one when asked again. */
export async function keepHandover(dataDir: string, old: Hex, handover: Uint8Array): Promise<void> {
  await writeNew(handoverFile(dataDir, old), `${Buffer.from(handover).toString("base64")}\n`);
}

/** All that keys retired here have signed of those that took their places, in no order. */
export async function keptHandovers(dataDir: string): Promise<Uint8Array[]> {
  const texts = await Promise.all((await retiredAddresses(dataDir)).map((address) => readIfThere(handoverFile(dataDir, address))));
  return texts.flatMap((text) => (text === undefined ? [] : [Uint8Array.from(Buffer.from(text, "base64"))]));
}

/** The addresses of keys that were retired here. */
export async function retiredAddresses(dataDir: string): Promise<Hex[]> {
  const names = await readdir(retiredDirectory(dataDir)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new MystError("DATA_DIR_UNUSABLE", `cannot read ${retiredDirectory(dataDir)}`, { hint: "check that you own it", cause: error });
  });
  return names.flatMap((name) => (/^0x[0-9a-f]{40}(?=\.json$)/.exec(name) ?? []) as Hex[]).sort();
}

/** @throws IDENTITY_MISSING when it was not retired here, and as `openIdentity` */
export async function openRetired(dataDir: string, source: PassphraseSource, address: Hex): Promise<Identity> {
  const text = await readIfThere(retiredFile(dataDir, address));
  if (text === undefined) throw new MystError("IDENTITY_MISSING", `${address} was not retired in ${dataDir}`);
  const passphrase = await findPassphrase(dataDir, source);
  return createIdentity(await readKeystore(text, passphrase.text, passphrase.from));
}
