import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { openStore } from "../../../src/lib/store.ts";
import { clearingDomain } from "../../../src/payments/eip712.ts";
import { loadPayer } from "../../../src/payments/payer-state.ts";
import { openProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { ledgerTable } from "../../../src/payments/records.ts";
import type { Observation } from "../../support/ledger-audit.ts";
import type { Part } from "./market.ts";

type Network = { chainId: number; contract: Hex };

/** What a process that is dead has left on its disk. Read from a copy: opening the database would repair it before its owner does. */
export async function readLedger(
  side: "payer" | "provider",
  { dataDir, address }: Pick<Part, "dataDir" | "address">,
  network: Network,
): Promise<Observation[]> {
  const directory = await mkdtemp(join(tmpdir(), "ml-"));
  try {
    await cp(join(dataDir, "db"), join(directory, "db"), { recursive: true });
    await using store = await openStore(directory);
    if (side === "payer") {
      const { channels, signer } = await loadPayer(ledgerTable(store, "payer", network, address));
      if (signer.standing !== "open") throw new Error(`the payer's ledger is ${signer.standing}`);
      return [...channels.values()].flatMap(({ channel, last, consumed }) =>
        last ? [{ where: "stored" as const, signer: address, channel, consumed, ...amounts(last) }] : [],
      );
    }
    const ledger = await openProviderLedger({ store, self: address, clock: systemClock }, clearingDomain(network));
    return ledger
      .channels()
      .map(({ signer, channel, best, consumed, paid }) => ({ where: "held" as const, signer, channel, consumed, paid, ...amounts(best) }));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const amounts = ({ cumulative, total, seq }: { cumulative: bigint; total: bigint; seq: bigint }) => ({ cumulative, total, seq });

/** What a process that lives says of its channels with one signer. */
export async function askLedger(side: "payer" | "provider", { api }: Pick<Part, "api">, signer: Hex): Promise<Observation[]> {
  const { channels } = await api.call("channels", {}, AbortSignal.timeout(20_000));
  return channels
    .filter(({ role }) => role === side)
    .map(({ channel, cumulative, consumed, paid }) => ({ where: "telling", side, signer, channel, cumulative, consumed, paid }));
}
