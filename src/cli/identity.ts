import { writeFile } from "node:fs/promises";
import { exportKeystore, readIdentity } from "../identity/open.ts";
import { MystError } from "../lib/errors.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { passphraseOf } from "./hosting.ts";
import { importIdentity, otherPassphrase } from "./keys.ts";

export const show: Run<"identity"> = async (context) => {
  const { peerId, address } = await readIdentity(context.settings.dataDir, passphraseOf(context));
  context.out.object({ peer: peerId, address });
  context.out.print(facts({ peer: peerId, address }));
};

/** The key under a passphrase of its own. What was promised with it is not in there: one key, one ledger, one machine. */
export const exportKey: Run<"identity export"> = async (context) => {
  const { settings, out, interrupts } = context;
  const identity = await readIdentity(settings.dataDir, passphraseOf(context));
  const passphrase = await otherPassphrase(settings.exportPasswordFile, "export-password-file", true, interrupts);
  const keystore = await exportKeystore(identity, passphrase);
  const { out: file } = settings;
  if (file === undefined) {
    out.object({ address: identity.address, keystore: JSON.parse(keystore) });
    return out.print(keystore.trimEnd());
  }
  await writeFile(file, keystore, { mode: 0o600, flag: "wx" }).catch((cause: { code?: string }) => {
    const why = cause.code === "EEXIST" ? "exists already" : `cannot be written (${cause.code})`;
    throw new MystError("BAD_VALUE", `--out: ${file} ${why}`, { hint: "name another file", cause });
  });
  out.object({ address: identity.address, file });
  out.print(facts({ address: identity.address, keystore: file }));
  out.progress("it holds the key only: use it on one machine at a time, never beside this one");
};

export const importKey: Run<"identity import"> = async (context) => {
  const { settings, args, out, interrupts } = context;
  const { dataDir, passwordFile, importPasswordFile } = settings;
  const from = { file: args[0] ?? "", passphraseFile: importPasswordFile, dataDir, ownPassphraseFile: passwordFile };
  const { peerId, address } = await importIdentity(from, interrupts);
  out.object({ peer: peerId, address });
  out.print(facts({ peer: peerId, address }));
};
