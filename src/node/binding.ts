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
