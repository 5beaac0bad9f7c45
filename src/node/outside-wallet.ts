import type { Chain } from "../chain/chain.ts";
import { approval, closing, consentOf, depositing, noConsent, requireConsent, withdrawing } from "../chain/outside.ts";
import { checkDeposit, checkWithdrawal, isClosing } from "../chain/wallet.ts";
import type { Identity } from "../identity/identity.ts";
import { larger } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import type { OutsideRequest, OutsideView, Wallet } from "./wallet-types.ts";

export type OutsideWalletDeps = {
  chain: Pick<Chain, "account" | "balances">;
  network: NetworkConfig;
  identity: Pick<Identity, "address" | "sign">;
  payer: Pick<PayerLedger, "reconcile">;
};

const isNobody = (owner: Hex): boolean => /^0x0*$/.test(owner);

/** What an owner does whose key is in a wallet elsewhere: this node says what is to be sent, and sends nothing. */
export function outsideWallet({ chain, network, identity, payer }: OutsideWalletDeps): Pick<Wallet, "account" | "consent" | "outside"> {
  const self = identity.address;

  const consent = async (owner: Hex) => {
    // The account begins once this is used: a ledger that begins before it is known to be whole.
    await payer.reconcile(await chain.account(self));
    return { signer: self, owner, consent: consentOf(identity, network, owner) };
  };

  const consentFor = async (signer: Hex, owner: Hex, given: Hex | undefined): Promise<Hex> => {
    if (signer === self) return (await consent(owner)).consent;
    if (given === undefined)
      throw new MystError("BAD_SIGNATURE", `${signer} has not said yet who owns its account`, {
        hint: `run 'mystnode wallet consent ${owner}' where that signer's key is, and give what it prints with --consent`,
      });
    requireConsent(network, { signer, owner, consent: given });
    return given;
  };

  const outside = async (request: OutsideRequest): Promise<OutsideView> => {
    const { action, signer = self } = request;
    const account = await chain.account(signer);
    const opened = !isNobody(account.owner);
    const owner = request.owner ?? (opened ? account.owner : undefined);
    if (owner === undefined)
      throw new MystError("NO_DEPOSIT", `nothing was ever deposited for ${signer}`, {
        hint: "name the wallet that is to pay with --owner 0x…",
      });
    if (opened && owner !== account.owner)
      throw new MystError("NOT_OWNER", `the account of ${signer} belongs to ${account.owner}, not to ${owner}`, {
        hint: "an account keeps its owner: only that wallet may pay into it, close it or withdraw",
        meta: { owner: account.owner, signer },
      });
    const closeAt = (account.closeAtMs ?? 0) / 1000;
    const view = { owner, signer, chainId: network.chainId };
    switch (action) {
      case "deposit": {
        const { amount = 0n, bond = larger(network.minBond - account.bond, 0n) } = request;
        checkDeposit(network, { ...account, closeAt }, amount, bond);
        const proof = opened ? noConsent : await consentFor(signer, owner, request.consent);
        const { tokens } = await chain.balances(owner);
        const transactions = [approval(network, amount + bond), depositing(network, { signer, amount, bond, consent: proof })];
        return { ...view, tokens, transactions };
      }
      case "close":
        if (!opened) throw new MystError("NO_DEPOSIT", `nothing was ever deposited for ${signer}`);
        if (closeAt !== 0) throw isClosing(closeAt, "the account is closing already");
        return { ...view, transactions: [closing(network, signer)] };
      case "withdraw":
        if (!opened) throw new MystError("NO_DEPOSIT", `nothing was ever deposited for ${signer}`);
        checkWithdrawal({ ...account, closeAt });
        return { ...view, closeAtMs: closeAt * 1000, transactions: [withdrawing(network, signer, request.to ?? owner)] };
    }
  };

  return {
    consent,
    outside,
    account: async (signer = self) => {
      const { readAtMs: _, closeAtMs, ...account } = await chain.account(signer);
      return { signer, ...account, ...(closeAtMs !== undefined && { closeAtMs }) };
    },
  };
}
