import { encodeFunctionData, parseEventLogs, type TransactionReceipt } from "viem";
import type { Identity } from "../identity/identity.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { formatAmount } from "../lib/units.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import { testTokenAbi } from "./abi/test-token.ts";
import type { Chain, Consented, Sending, Sent, Signer, WalletOutcome } from "./chain.ts";
import { creditedOf } from "./claims.ts";
import type { Endpoints } from "./endpoints.ts";
import { approval, closing, consentOf, consentWords, depositing, noConsent, requireConsent, withdrawing } from "./outside.ts";
import { type Permit, permitTerms, signPermit } from "./permit.ts";
import type { Call, Transactions } from "./transactions.ts";

/** Both parts of an account are 96 bits wide on chain. */
const maxAmount = 2n ** 96n - 1n;
const transactionMs = 900_000;
/** what is in no block after so long is sent again with the fees of the day */
const stuckMs = 60_000;
const maxRaises = 8;
const zeroAddress = `0x${"0".repeat(40)}`;

export type WalletDeps = { endpoints: Endpoints; network: NetworkConfig; identity: Identity; transactions: Transactions };

/** What an owner does with its accounts: each call is one transaction (deposit: two when an approval is missing), followed until it is final. */
export function createWallet({
  endpoints,
  network,
  identity,
  transactions,
}: WalletDeps): Pick<Chain, "deposit" | "close" | "withdraw" | "collect" | "move" | "finish"> {
  const { address: self } = identity;
  const contract = { address: network.contract, abi: mystClearingAbi } as const;
  const token = { address: network.token.address, abi: testTokenAbi } as const;
  const text = (amount: bigint) => formatAmount(amount, network.token);

  const accountNow = (signer: Hex) =>
    endpoints.call("reading an account", (client) => client.readContract({ ...contract, functionName: "account", args: [signer] }));

  /** Follows to its end; what nobody mines is sent again with higher fees. Each variant that is not known yet is told before it goes out. */
  const carry = async (first: Sent, { onPrepared, signal }: Sending, isKnown = false): Promise<TransactionReceipt> => {
    const until = deadline(transactionMs, signal);
    for (let sent = first; ; ) {
      if (!isKnown || sent !== first) await onPrepared?.(sent);
      const confirmations = sent.step === "approve" ? 0 : network.confirmations;
      try {
        return await transactions.follow(sent.raw, sent.nonce, confirmations, until, { earlier: sent.earlier, patienceMs: stuckMs });
      } catch (error) {
        if (!isMystError(error, "TRANSACTION_STUCK") || sent.earlier.length >= maxRaises) throw error;
        const raised = await transactions.raise(sent.raw);
        if (raised) sent = { ...raised, step: sent.step, earlier: [...sent.earlier, sent.raw] };
      }
    }
  };
  const run = async (step: Sent["step"], call: Call, sending: Sending) =>
    carry({ ...(await transactions.prepare(call)), step, earlier: [] }, sending);

  const openAccount = async (signer: Hex) => {
    const account = await accountNow(signer);
    if (account.owner === zeroAddress)
      throw new MystError("NO_DEPOSIT", `nothing was ever deposited for ${signer}`, { hint: "run 'mystnode wallet deposit AMOUNT'" });
    requireOwner(account.owner, signer);
    return account;
  };
  const requireOwner = (owner: string, signer: Hex) => {
    if (owner === zeroAddress || owner.toLowerCase() === self) return;
    throw new MystError("NOT_OWNER", `the account of ${signer} belongs to another owner, ${owner.toLowerCase()}`, {
      hint: "only that wallet may pay into it, close it or withdraw",
      meta: { owner: owner.toLowerCase(), signer },
    });
  };

  /** The account as it stands; what speaks against a deposit is thrown. */
  const requireDeposit = async (signer: Hex, amount: bigint, bond: bigint) => {
    const account = await accountNow(signer);
    requireOwner(account.owner, signer);
    checkDeposit(network, account, amount, bond);
    return account;
  };

  /** Tokens in the wallet for `sum`. @returns whether the contract may take them already */
  const requireTokens = async (sum: bigint): Promise<boolean> => {
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
    return allowance >= sum;
  };

  const permitFor = async (sum: bigint): Promise<Permit | undefined> => {
    const terms = await endpoints.call("asking the token for permits", (client) => permitTerms(client, network, self));
    return terms && signPermit(identity, network.contract, sum, terms);
  };
  const consentFor = (account: Signer | Consented): Hex => {
    if ("sign" in account) return consentOf(account, network, self);
    if (account.consent === undefined)
      throw new MystError("BAD_SIGNATURE", `${account.address} has not said yet who owns its account`, {
        hint: `run 'mystnode wallet consent ${self}' where that signer's key is, and give what it prints with --consent`,
      });
    requireConsent(network, { signer: account.address, owner: self, consent: account.consent });
    return account.consent;
  };

  const deposit = async (amount: bigint, bond: bigint, account: Signer | Consented = identity, sending: Sending = {}) => {
    const signer = account.address;
    const { owner } = await requireDeposit(signer, amount, bond);
    const consent = owner === zeroAddress ? consentFor(account) : noConsent;
    const sum = amount + bond;
    if (!(await requireTokens(sum))) {
      const permit = await permitFor(sum);
      // a token may say that it takes permits, and not take this one: then it is approved as with any other
      const permitted = permit && (await prepareWithPermit({ signer, amount, bond, consent }, permit));
      if (permitted) return outcomeOf(network, await carry({ ...permitted, step: "deposit", earlier: [] }, sending));
      const { to, data } = approval(network, sum);
      await run("approve", { to, data }, sending);
    }
    const { to, data } = depositing(network, { signer, amount, bond, consent });
    return outcomeOf(network, await run("deposit", { to, data }, sending));
  };
  const prepareWithPermit = async ({ signer, amount, bond, consent }: Parameters<typeof depositing>[1], permit: Permit) => {
    const { v, r, s } = permit;
    const args = [signer, amount, bond, consentWords(consent), permit.deadline, v, r, s] as const;
    const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "depositWithPermit", args });
    return transactions.prepare({ to: network.contract, data }).catch((error) => {
      if (isMystError(error, "TRANSACTION_FAILED")) return undefined;
      throw error;
    });
  };

  const close = async (signer: Hex = self, sending: Sending = {}) => {
    const { closeAt } = await openAccount(signer);
    if (closeAt !== 0) throw isClosing(closeAt, "the account is closing already");
    const { to, data } = closing(network, signer);
    const { hash, closeAtMs = 0 } = outcomeOf(network, await run("close", { to, data }, sending));
    return { hash, closeAtMs };
  };

  const withdraw = async (signer: Hex = self, to: Hex = self, sending: Sending = {}) => {
    const account = await openAccount(signer);
    checkWithdrawal(account);
    const { data } = withdrawing(network, signer, to);
    const receipt = await run("withdraw", { to: network.contract, data }, sending).catch((error) => {
      throw isMystError(error, "ACCOUNT_CLOSING") ? isClosing(account.closeAt, "the account is closing, and its delay is not over") : error;
    });
    const { hash, withdrawn = 0n, credited = 0n } = outcomeOf(network, receipt);
    return { hash, withdrawn, credited };
  };

  const collect = async (to: Hex, sending: Sending = {}) => {
    const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "collect", args: [to] });
    const receipt = await run("collect", { to: network.contract, data }, sending);
    return { hash: receipt.transactionHash, collected: sentBy(network, receipt) };
  };

  const move = async (to: Hex, sending: Sending = {}) => {
    const moved = await endpoints.call("reading a wallet", (client) =>
      client.readContract({ ...token, functionName: "balanceOf", args: [self] }),
    );
    if (moved === 0n) throw new MystError("INSUFFICIENT_FUNDS", `${self} holds no ${network.token.symbol}`);
    const data = encodeFunctionData({ abi: testTokenAbi, functionName: "transfer", args: [to, moved] });
    const receipt = await run("move", { to: network.token.address, data }, sending);
    return { hash: receipt.transactionHash, moved };
  };

  const finish = async (sent: Sent, sending: Sending = {}) => {
    const receipt = await carry(sent, sending, true);
    return { ...outcomeOf(network, receipt), ...(sent.step === "collect" && { collected: sentBy(network, receipt) }) };
  };

  return { deposit, close, withdraw, collect, move, finish };
}

type Account = { balance: bigint; bond: bigint; closeAt: number };

/** Whether this deposit would be taken. @throws BAD_AMOUNT, ACCOUNT_CLOSING, DEPOSIT_TOO_SMALL */
export function checkDeposit({ minDeposit, minBond, token }: NetworkConfig, account: Account, amount: bigint, bond: bigint): void {
  if (amount < 0n || bond < 0n || amount > maxAmount || bond > maxAmount)
    throw new MystError("BAD_AMOUNT", "the amount does not fit into an account");
  if (account.closeAt !== 0) throw isClosing(account.closeAt, "the account is closing: it takes no deposit any more");
  if (account.balance + amount >= minDeposit && account.bond + bond >= minBond) return;
  const least = `${formatAmount(minDeposit, token)} and a bond of ${formatAmount(minBond, token)}`;
  throw new MystError("DEPOSIT_TOO_SMALL", `this network wants at least ${least}`, {
    hint: "deposit more; the bond comes back with the rest when you withdraw",
    meta: { minDeposit, minBond, balance: account.balance, bond: account.bond },
  });
}

/** Whether anything can be asked for at all; whether the time has come is the chain's clock's to say. @throws ACCOUNT_OPEN, NO_DEPOSIT */
export function checkWithdrawal({ closeAt, balance, bond }: Account): void {
  if (closeAt === 0)
    throw new MystError("ACCOUNT_OPEN", "the account is open, and exits count on what is in it", {
      hint: "begin to close it with 'mystnode wallet close'; three days later everything can be taken out",
    });
  if (balance + bond === 0n)
    throw new MystError("NO_DEPOSIT", "nothing is left in this account", {
      hint: "it is closed for good: begin anew in another --data-dir",
    });
}

/** What a transaction of ours has done, by the contract's own events. */
function outcomeOf({ contract }: NetworkConfig, { transactionHash: hash, logs }: TransactionReceipt): WalletOutcome {
  const ours = logs.filter(({ address }) => address.toLowerCase() === contract);
  const [closed] = parseEventLogs({ abi: mystClearingAbi, eventName: "Closing", logs: ours });
  const [withdrawn] = parseEventLogs({ abi: mystClearingAbi, eventName: "Withdrawn", logs: ours });
  return {
    hash,
    ...(closed && { closeAtMs: closed.args.closeAt * 1000 }),
    ...(withdrawn && { withdrawn: withdrawn.args.amount, credited: creditedOf(contract, logs) }),
  };
}

/** What a transaction has moved out of the contract, by the token's own log. */
function sentBy({ contract, token }: NetworkConfig, { logs }: TransactionReceipt): bigint {
  const ofToken = logs.filter(({ address }) => address.toLowerCase() === token.address);
  const transfers = parseEventLogs({ abi: testTokenAbi, eventName: "Transfer", logs: ofToken });
  return transfers.reduce((sum, { args }) => (args.from.toLowerCase() === contract ? sum + args.value : sum), 0n);
}

/** ACCOUNT_CLOSING, with the time from which everything can be taken out. */
export const isClosing = (closeAt: number, what: string) =>
  new MystError("ACCOUNT_CLOSING", what, {
    hint: `run 'mystnode wallet withdraw' from ${minuteFrom(closeAt)} UTC on`,
    meta: { closeAtMs: closeAt * 1000 },
  });

/** Never a minute that has begun before. */
const minuteFrom = (seconds: number): string => new Date(Math.ceil(seconds / 60) * 60_000).toISOString().slice(0, 16).replace("T", " ");
