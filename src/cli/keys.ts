import { readFile } from "node:fs/promises";
import type { Identity } from "../identity/identity.ts";
import { createIdentityIn, importKeystore } from "../identity/open.ts";
import { givenPassphrase } from "../identity/passphrase.ts";
import { MystError } from "../lib/errors.ts";
import type { Interrupts } from "./interrupts.ts";
import { askSecret, canAsk } from "./prompt.ts";

/** A passphrase for a keystore other than the node's own: from `file`, else by asking, twice when it is a new one. */
export async function otherPassphrase(file: string | undefined, flag: string, isNew: boolean, interrupts: Interrupts): Promise<string> {
  if (file !== undefined) return (await givenPassphrase({ file }))?.text ?? "";
  if (!canAsk())
    throw new MystError("PASSPHRASE_MISSING", "the keystore needs a passphrase, and nobody is there to ask", {
      hint: `give a file that holds it with --${flag} FILE`,
    });
  const text = await askSecret(isNew ? "Passphrase for the exported keystore:" : "Passphrase of the imported keystore:", interrupts);
  if (text === "") throw new MystError("PASSPHRASE_MISSING", "an empty passphrase protects nothing", { hint: "type one, or press Ctrl-C" });
  if (isNew && (await askSecret("Once more:", interrupts)) !== text)
    throw new MystError("PASSPHRASE_WRONG", "the two are not the same", { hint: "try again" });
  return text;
}

type Import = { file: string; passphraseFile: string | undefined; dataDir: string; ownPassphraseFile: string | undefined };

/**
 * Puts the key in a V3 keystore, or in a file with 64 hex digits, into a data directory that has none.
 * @throws KEYSTORE_INVALID, PASSPHRASE_WRONG, PASSPHRASE_MISSING, IDENTITY_EXISTS
 */
export async function importIdentity(from: Import, interrupts: Interrupts): Promise<Identity> {
  const invalid = (why: string, cause?: unknown) =>
    new MystError("KEYSTORE_INVALID", `${from.file} ${why}`, { hint: "give a V3 keystore (JSON), or a file with 64 hex digits", cause });
  const text = await readFile(from.file, "utf8").catch((cause) => {
    throw invalid("cannot be read", cause);
  });
  const [, digits] = /^\s*(?:0x)?([0-9a-f]{64})\s*$/i.exec(text) ?? [];
  if (digits === undefined && !text.trimStart().startsWith("{")) throw invalid("holds no key");
  const key =
    digits !== undefined
      ? Uint8Array.from(Buffer.from(digits, "hex"))
      : await importKeystore(text, await otherPassphrase(from.passphraseFile, "import-password-file", false, interrupts));
  const own = from.ownPassphraseFile === undefined ? undefined : await givenPassphrase({ file: from.ownPassphraseFile });
  return createIdentityIn(from.dataDir, { key, ...(own && { passphrase: own.text }) });
}
