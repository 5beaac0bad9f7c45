import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MystError } from "../lib/errors.ts";

/** Where a keystore's passphrase comes from. It is read when needed and kept no longer than that. */
export type PassphraseSource = {
  /** a file whose first line it is */
  file?: string;
  /** asks the person at the terminal; absent when there is none */
  prompt?(question: string): Promise<string>;
};

/** A passphrase, and the words that name its source in errors. `generated`: made by us, with 256 random bits. */
export type Passphrase = { text: string; from: string; generated: boolean };

const longest = 4_096;

/** Where the passphrase stands that was made along with a key nobody was asked about. */
export const generatedFile = (dataDir: string): string => join(dataDir, "identity", "passphrase");

export const generatePassphrase = (): string => randomBytes(32).toString("base64url");

/** What the operator has set: --password-file, then systemd's credential `mystnode-passphrase`. @throws PASSPHRASE_FILE */
export async function givenPassphrase(source: PassphraseSource): Promise<Passphrase | undefined> {
  if (source.file !== undefined) return fromFile(source.file, "the password file");
  const credentials = process.env.CREDENTIALS_DIRECTORY;
  if (!credentials) return undefined;
  return fromFile(join(credentials, "mystnode-passphrase"), "the credential", true);
}

/** The one made with the key. @throws PASSPHRASE_FILE */
export async function generatedPassphrase(dataDir: string): Promise<Passphrase | undefined> {
  const found = await fromFile(generatedFile(dataDir), "the generated passphrase", true);
  return found && { ...found, generated: true };
}

/**
 * The passphrase of an existing keystore: as set by the operator, else the generated one, else by asking.
 * @throws PASSPHRASE_FILE, PASSPHRASE_MISSING when there is none and nobody to ask
 */
export async function findPassphrase(dataDir: string, source: PassphraseSource): Promise<Passphrase> {
  const found = (await givenPassphrase(source)) ?? (await generatedPassphrase(dataDir));
  if (found) return found;
  if (source.prompt) return { text: await source.prompt("Passphrase of this node's key:"), from: "what was typed", generated: false };
  throw new MystError("PASSPHRASE_MISSING", "this node's key is locked, and nobody is there to ask for its passphrase", {
    hint: "give a file that holds it with --password-file FILE, or set the credential mystnode-passphrase",
  });
}

async function fromFile(path: string, what: string, mayBeMissing = false): Promise<Passphrase | undefined> {
  const unusable = (why: string, cause?: unknown) =>
    new MystError("PASSPHRASE_FILE", `${what} ${path} ${why}`, {
      hint: "it is a text file of which the first line is the passphrase; check its path and who may read it",
      cause,
    });
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (cause) {
    if (mayBeMissing && (cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable("cannot be read", cause);
  }
  const [text = ""] = content.split(/\r?\n/, 1);
  if (text === "") throw unusable("is empty");
  if (text.length > longest) throw unusable("is too long");
  return { text, from: `${what} ${path}`, generated: false };
}
