import type { Chain } from "../chain/chain.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError } from "../lib/errors.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import type { AccountView } from "../payments/settlement.ts";

const freshMs = 30_000;

/** Reads our own account, checked against the ledger; as last read where no RPC answers. */
export const ownAccount =
  ({ chain, payer, clock, address }: { chain: Chain; payer: PayerLedger; clock: Clock; address: Hex }) =>
  async (): Promise<AccountView> => {
    const known = payer.account();
    if (known && known.line > 0n && clock.nowMs() - known.readAtMs < freshMs) return known;
    try {
      const view = await chain.account(address);
      await payer.reconcile(view);
      return view;
    } catch (error) {
      if (known && isMystError(error, "RPC_UNREACHABLE")) return known;
      throw error;
    }
  };
