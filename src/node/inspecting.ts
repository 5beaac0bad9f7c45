import { recordedAddress } from "../identity/open.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { type Inspected, inspectStore } from "../lib/store/inspect.ts";
import { loadPayer, type PayerStanding } from "../payments/payer-state.ts";
import { ledgerTable } from "../payments/records.ts";

/** What a look at a data directory's database has found; `standing`: whether its key may promise anything, where that is known. */
export type DataDirInspection = Inspected & { standing: PayerStanding | undefined };

/** @returns undefined where there is no database yet @throws STORE_CORRUPT and the other errors of `openStore` */
export async function inspectDataDir(dataDir: string, network: NetworkConfig | undefined): Promise<DataDirInspection | undefined> {
  const address = await recordedAddress(dataDir);
  const inspected = await inspectStore(dataDir, async (store) => {
    if (!network || !address) return undefined;
    return (await loadPayer(ledgerTable(store, "payer", network, address))).signer.standing;
  });
  return inspected && { entries: inspected.entries, doubt: inspected.doubt, standing: inspected.found };
}
