import { encodeFunctionData, parseEventLogs, type TransactionReceipt } from "viem";
import type { Identity } from "../identity/identity.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { formatAmount } from "../lib/units.ts";
import { clearingDomain, openDigest } from "../payments/eip712.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import { testTokenAbi } from "./abi/test-token.ts";
import type { Chain, Signer } from "./chain.ts";
import { signatureWords } from "./claims.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Call, Transactions } from "./transactions.ts";

/** Both parts of an account are 96 bits wide on chain. */
const maxAmount = 2n ** 96n - 1n;
const transactionMs = 900_000;
const zeroAddress = `0x${"0".repeat(40)}`;

export type WalletDeps = { endpoints: Endpoints; network: NetworkConfig; identity: Identity; transactions: Transactions };

/** What an owner does with its accounts: each call is one transaction (deposit: two when an approval is missing), followed until it is final. */
export function createWallet({
  endpoints,
  network,
  identity,
  transactions,
}: WalletDeps): Pick<Chain, "deposit" | "close" | "withdraw" | "collect"> {
  const { address: self } = identity;
  const contract = { address: network.contract, abi: mystClearingAbi } as const;
  const token = { address: network.token.address, abi: testTokenAbi } as const;
  const text = (amount: bigint) => formatAmount(amount, network.token);

  const accountNow = (signer: Hex) =>
    endpoints.call("reading an account", (client) => client.readContract({ ...contract, functionName: "account", args: [signer] }));
  const run = async (call: Call, signal: AbortSignal | undefined, confirmations = network.confirmations) => {
    const { raw, nonce } = await transactions.prepare(call);
    return transactions.follow(raw, nonce, confirmations, deadline(transactionMs, signal));
  };
  const runOnContract = (data: Hex, signal: AbortSignal | undefined) => run({ to: network.contract, data }, signal);

  const openAccount = async (signer: Hex) => {
    const account = await accountNow(signer);
    if (account.owner === zeroAddress)
      throw new MystError("NO_DEPOSIT", `nothing was ever deposited for ${signer}`, { hint: "run 'mystnode wallet deposit AMOUNT'" });
    return account;
  };

  const requireDeposit = async (signer: Hex, amount: bigint, bond: bigint) => {
    if (amount < 0n || bond < 0n || amount > maxAmount || bond > maxAmount)
      throw new MystError("BAD_AMOUNT", "the amount does not fit into an account");
    const account = await accountNow(signer);
    if (account.closeAt !== 0) throw closing(account.closeAt, "it takes no deposit any more");
    const { minDeposit, minBond } = network;
    if (account.balance + amount < minDeposit || account.bond + bond < minBond)
      throw new MystError("DEPOSIT_TOO_SMALL", `this network wants at least ${text(minDeposit)} and a bond of ${text(minBond)}`, {
        hint: "deposit more; the bond comes back with the rest when you withdraw",
        meta: { minDeposit, minBond, balance: account.balance, bond: account.bond },
      });
  };

  /** Tokens in the wallet for `sum`, and the contract allowed to take them. */
  const provide = async (sum: bigint, signal: AbortSignal | undefined) => {
    const [tokens, allowance] = await endpoints.call("reading a wallet", (client) =>
      Promise.all([
        client.readContract({ ...token, functionName: "balanceOf", args: [self] }),
        client.readContract({ ...token, functionName: "allowance", args: [self, network.contract] }),
      ]),
    );
    if (tokens < sum)
      throw new MystError("INSUFFICIENT_FUNDS", `${self} holds ${text(tokens)}, and ${text(sum)} are needed`, {
        hint: `send at least ${text(sum - tokens)} to ${self}`,
        meta: { address: self, available: tokens, needed: sum },
      });
    if (allowance >= sum) return;
    const data = encodeFunctionData({ abi: testTokenAbi, functionName: "approve", args: [network.contract, sum] });
    await run({ to: network.token.address, data }, signal, 0);
  };

  const deposit = async (amount: bigint, bond: bigint, signer: Signer = identity, signal?: AbortSignal) => {
    await requireDeposit(signer.address, amount, bond);
    await provide(amount + bond, signal);
    const consent = signatureWords(signer.sign(openDigest(clearingDomain(network), self)));
    const args = [signer.address, amount, bond, consent] as const;
    const receipt = await runOnContract(encodeFunctionData({ abi: mystClearingAbi, functionName: "deposit", args }), signal);
    return { hash: receipt.transactionHash };
  };

  const close = async (signer: Hex = self, signal?: AbortSignal) => {
    const { closeAt } = await openAccount(signer);
    if (closeAt !== 0) throw closing(closeAt, "it is under way");
    const receipt = await runOnContract(encodeFunctionData({ abi: mystClearingAbi, functionName: "close", args: [signer] }), signal);
    const [event] = parseEventLogs({ abi: mystClearingAbi, eventName: "Closing", logs: receipt.logs });
    return { hash: receipt.transactionHash, closeAtMs: (event?.args.closeAt ?? 0) * 1000 };
  };

  const withdraw = async (signer: Hex = self, signal?: AbortSignal) => {
    const { closeAt, balance, bond } = await openAccount(signer);
    if (closeAt === 0)
      throw new MystError("TRANSACTION_FAILED", "the account has to be closed before anything can be withdrawn", {
        hint: "run 'mystnode wallet withdraw' to begin the close",
      });
    if (balance + bond === 0n) throw new MystError("NO_DEPOSIT", "everything was withdrawn already");
    const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "withdraw", args: [signer, self] });
    const receipt = await runOnContract(data, signal).catch((error) => {
      throw error instanceof MystError && error.code === "ACCOUNT_CLOSING" ? closing(closeAt, "its delay is not over") : error;
    });
    const [event] = parseEventLogs({ abi: mystClearingAbi, eventName: "Withdrawn", logs: receipt.logs });
    return { hash: receipt.transactionHash, withdrawn: event?.args.amount ?? 0n };
  };

  const collect = async (to: Hex, signal?: AbortSignal) => {
    const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "collect", args: [to] });
    const receipt = await runOnContract(data, signal);
    return { hash: receipt.transactionHash, collected: sentBy(network, receipt) };
  };

  return { deposit, close, withdraw, collect };
}

/** What a transaction has moved out of the contract, by the token's own log. */
function sentBy({ contract, token }: NetworkConfig, { logs }: TransactionReceipt): bigint {
  const ofToken = logs.filter(({ address }) => address.toLowerCase() === token.address);
  const transfers = parseEventLogs({ abi: testTokenAbi, eventName: "Transfer", logs: ofToken });
  return transfers.reduce((sum, { args }) => (args.from.toLowerCase() === contract ? sum + args.value : sum), 0n);
}

const closing = (closeAt: number, what: string) =>
  new MystError("ACCOUNT_CLOSING", `the account is closing: ${what}`, {
    hint: `from ${new Date(closeAt * 1000).toISOString()} on 'mystnode wallet withdraw' takes everything out`,
    meta: { closeAtMs: closeAt * 1000 },
  });
