import type { Logger } from "../lib/ports.ts";
import type { Doubt, Store } from "../lib/store.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";

/** What is wrong with a database that is sound and not the newest, in one sentence. */
export const doubtText: Record<Doubt, string> = {
  copied: "this database is a copy, or was restored from one: what came after it was made is not in it",
  "writes lost": "the last writes of this database are lost",
};

/**
 * A database that may not be the newest: nothing is signed on it until somebody says that it is. What was promised to this node comes
 * back by itself, from whoever has promised it. Said once; the ledger remembers.
 */
export async function mindDoubt({ store, payer, log }: { store: Pick<Store, "doubt" | "trust">; payer: PayerLedger; log: Logger }) {
  const doubt = store.doubt();
  if (!doubt) return;
  await payer.suspect();
  const signs = payer.totals().standing === "restored" ? "; nothing is promised from it until 'mystnode wallet adopt'" : "";
  log.warn(`${doubtText[doubt]}${signs}`, { remedy: "payers are asked for promises to this node that are missing" });
  await store.trust();
}
