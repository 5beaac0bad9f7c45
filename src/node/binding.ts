import { hasIdentity, openIdentity } from "../identity/open.ts";
import type { PassphraseSource } from "../identity/passphrase.ts";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Store } from "../lib/store.ts";

/** A data directory belongs to one network: its ledgers mean nothing on another. @throws NETWORK_MISMATCH */
export async function bindNetwork(store: Store, { chainId, contract, name }: NetworkConfig): Promise<void> {
  const meta = store.table("meta");
  const id = `${chainId}:${contract}`;
  const known = await meta.get("network");
  if (known === undefined) return store.write([meta.put("network", Uint8Array.from(Buffer.from(id)))]);
  if (Buffer.from(known).toString() !== id)
    throw new MystError("NETWORK_MISMATCH", `this data directory belongs to another network than '${name}'`, {
      hint: "use another --data-dir for it, or the --network file that this one was begun with",
    });
}

/**
 * The identity of a data directory, as `openIdentity` has it; but where the key that the database was last used with is gone, no new one
 * is made in its place: what is on deposit, and what others owe, is the old one's.
 * @throws IDENTITY_MISSING and as `openIdentity`
 */
export async function openOwner(store: Store, dataDir: string, passphrase: PassphraseSource | undefined) {
  const meta = store.table("meta");
  const known = await meta.get("owner");
  const owner = known && Buffer.from(known).toString();
  if (owner !== undefined && !(await hasIdentity(dataDir)))
    throw new MystError(
      "IDENTITY_MISSING",
      `the key of ${owner}, which this data directory is of, is missing: there is no identity/keystore.json`,
      {
        hint: "put it back from a backup with 'mystnode identity import FILE', or begin anew in another --data-dir",
      },
    );
  const opened = await openIdentity(dataDir, passphrase);
  if (opened.identity.address !== owner) await store.write([meta.put("owner", Uint8Array.from(Buffer.from(opened.identity.address)))]);
  return opened;
}
