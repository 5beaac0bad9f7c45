import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Table } from "../lib/store.ts";
import type { SignedPromise } from "./promise.ts";
import { accountRecord, corrupt, payerChannelRecord, readRecord, signerRecord } from "./records.ts";
import type { AccountView } from "./settlement.ts";

/** One channel of ours to one provider. */
export type PayerChannel = {
  channel: Hex;
  /** the provider's address */
  provider: Hex;
  /** its peer id */
  peer: string;
  salt: Uint8Array;
  /** all ever promised on it, base units */
  cumulative: bigint;
  /** of it, used up by service; the rest is carried into the next session */
  consumed: bigint;
  /** the newest promise, to be sent again to the letter after a crash; absent before the first */
  last?: SignedPromise;
  openedMs: number;
};

/**
 * - `unproven`: nothing is recorded, and the chain has not yet said whether the signer is new;
 * - `open`: may sign;
 * - `closing`: its close is under way, nothing more is signed;
 * - `restored`: this is a copy, or lacks its last writes; nothing is signed until somebody says that it is the newest;
 * - `behind`: more was signed with this key than is recorded here, nothing more is ever signed.
 */
export type PayerStanding = "unproven" | "open" | "closing" | "restored" | "behind";

export type PayerState = {
  signer: { seq: bigint; total: bigint; standing: PayerStanding };
  channels: Map<Hex, PayerChannel>;
  account: AccountView | undefined;
};

/** Reads a payer's table and holds its records against each other. @throws STORE_CORRUPT */
export async function loadPayer(table: Table): Promise<PayerState> {
  const recorded = await table.get("signer");
  const account = await table.get("account");
  const state: PayerState = {
    signer: recorded ? readRecord(signerRecord, recorded) : { seq: 0n, total: 0n, standing: "unproven" },
    channels: new Map(),
    account: account && { closeAtMs: undefined, ...readRecord(accountRecord, account) },
  };
  let promised = 0n;
  for await (const [, bytes] of table.entries("channel/")) {
    const channel = readRecord(payerChannelRecord, bytes);
    state.channels.set(channel.channel, channel);
    promised += channel.cumulative;
    if (channel.cumulative !== (channel.last?.cumulative ?? 0n)) throw corrupt("a channel differs from its last promise");
    if ((channel.last?.seq ?? 0n) > state.signer.seq) throw corrupt("a promise is newer than the signer's mark");
  }
  if (promised > state.signer.total) throw corrupt("the channels hold more than the signer's total");
  return state;
}

/** Why nothing may be signed. */
export function standingError(standing: Exclude<PayerStanding, "open">, why?: string): MystError {
  if (standing === "closing")
    return new MystError("ACCOUNT_CLOSING", "this account is closing: nothing more is promised from it", {
      hint: "take its deposit out with 'mystnode wallet withdraw', then pay from a new identity (another --data-dir)",
    });
  if (standing === "unproven")
    return new MystError("RPC_UNREACHABLE", "the chain has not yet said whether this key has promised anything before", {
      hint: "check the RPC with 'mystnode doctor', or name another with --rpc URL",
    });
  if (standing === "restored")
    return new MystError("LEDGER_BEHIND", "this data directory is a copy, or was restored: promises made since may be missing in it", {
      hint: "if nothing was promised with this key since, run 'mystnode wallet adopt'; if anything was, 'mystnode wallet retire'",
    });
  return new MystError("LEDGER_BEHIND", `this key has promised more than this data directory knows of${why ? `: ${why}` : ""}`, {
    hint: "run 'mystnode wallet retire': it closes this account and begins with a new key",
  });
}
