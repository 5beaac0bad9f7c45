import { encodeFunctionData, parseTransaction } from "viem";
import { smaller } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import { coinPriceOf } from "../lib/network-config.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import { testTokenAbi } from "./abi/test-token.ts";
import type { Chain, CreateChain } from "./chain.ts";
import { checkArgs, claimArgs, creditedOf, paidOf } from "./claims.ts";
import { type Client, createEndpoints } from "./endpoints.ts";
import { createEventSource, finalBlock } from "./events.ts";
import { claimGas, clearingCosts, inWei, marketOf } from "./fees.ts";
import { receiptOf } from "./submission.ts";
import { createTransactions } from "./transactions.ts";
import { verify } from "./verify.ts";
import { createWallet } from "./wallet.ts";

/** See `Chain`. Asks nothing of the RPC by itself. */
export const createChain: CreateChain = ({ network, identity, rpc, verifyMs, log, clock }) => {
  const urls = [...new Set([...(rpc === undefined ? [] : [rpc]), ...network.rpc])];
  const endpoints = createEndpoints({
    ...{ urls, verify: (client) => verify(client, network, clock.nowMs()), log, clock },
    ...(verifyMs !== undefined && { verifyMs }),
  });
  const contract = { address: network.contract, abi: mystClearingAbi } as const;
  const token = { address: network.token.address, abi: testTokenAbi } as const;

  const finalOf = async (client: Client): Promise<bigint> => {
    const head = await client.getBlockNumber({ cacheTime: 0 });
    endpoints.saw(head);
    return finalBlock(head, network);
  };

  const coinPrice = coinPriceOf(network);

  const costs = async (gas = claimGas.settle) =>
    coinPrice === 0n
      ? { first: 0n, next: 0n }
      : endpoints.call("asking for the price of gas", async (client) => clearingCosts(await marketOf(client), coinPrice, gas));

  const reading: Omit<Chain, keyof typeof readOnly> = {
    account: (signer) =>
      endpoints.call("reading an account", async (client) => {
        const readAtMs = clock.nowMs();
        const blockNumber = await finalOf(client);
        const view = await client.readContract({ ...contract, functionName: "account", args: [signer], blockNumber });
        const { balance, line, bond, closeAt, owner } = view;
        const closeAtMs = closeAt === 0 ? undefined : closeAt * 1000;
        return { balance, line, bond, closeAtMs, owner: owner.toLowerCase() as Hex, readAtMs };
      }),
    isMined: (hash) =>
      endpoints.call("looking for a transaction", async (client) => {
        endpoints.saw(await client.getBlockNumber({ cacheTime: 0 }));
        return (await receiptOf(client, hash)) !== undefined;
      }),
    costs: () => costs(),
    clearCosts: () => costs(claimGas.clear),
    paid: (signer, channel) =>
      endpoints.call("reading what was paid", async (client) =>
        client.readContract({ ...contract, functionName: "paid", args: [signer, channel], blockNumber: await finalOf(client) }),
      ),
    balances: (address) =>
      endpoints.call("reading a wallet", async (client) => {
        const [tokens, gas] = await Promise.all([
          client.readContract({ ...token, functionName: "balanceOf", args: [address] }),
          client.getBalance({ address }),
        ]);
        return { tokens, gas };
      }),
    credit: (address) =>
      endpoints.call("reading a credit", (client) => client.readContract({ ...contract, functionName: "credits", args: [address] })),
    status: endpoints.status,
    check: () =>
      endpoints.call("asking for the newest block", finalOf).then(endpoints.status, (error) => {
        const status = endpoints.status();
        return { ...status, problem: status.problem ?? asMystError(error).message };
      }),
    events: createEventSource(endpoints, network),
  };
  if (identity === undefined) return { ...reading, ...readOnly };

  const transactions = createTransactions({ endpoints, identity, chainId: network.chainId, log, clock });
  return {
    ...reading,
    ...createWallet({ endpoints, network, identity, transactions }),
    prepareSettle: (claims, to, { maxCost, nonce } = {}) => {
      const args = [claims.map(claimArgs), to] as const;
      const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "settle", args });
      const maxWei = maxCost === undefined ? undefined : inWei(maxCost, coinPrice);
      return transactions.prepare({ to: network.contract, data }, { maxWei, ...(nonce !== undefined && { nonce }) });
    },
    prepareClear: async (claims, { maxCost } = {}) => {
      const args = [claims.map(claimArgs), claims.map(checkArgs)] as const;
      const call = { ...contract, functionName: "clear", args, account: identity.address } as const;
      const { result: fees } = await endpoints.call("trying a transaction", (client) => client.simulateContract(call));
      // somebody else may have cleared them in a block that is not final yet
      if (fees === 0n && maxCost !== 0n) throw new MystError("GAS_PRICE_HIGH", "clearing would earn nothing now: others were sooner");
      const most = maxCost === undefined ? fees : smaller(fees, maxCost);
      const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "clear", args });
      return transactions.prepare({ to: network.contract, data }, { maxWei: inWei(most, coinPrice) });
    },
    raise: (raw, maxCost) => transactions.raise(raw, maxCost === undefined ? undefined : inWei(maxCost, coinPrice)),
    submit: async (raw, claims, signal, options) => {
      const { nonce = 0 } = parseTransaction(raw);
      const { transactionHash: hash, logs } = await transactions.follow(raw, nonce, network.confirmations, signal, options);
      const paid = paidOf(claims, identity.address, network.contract, logs);
      // whom a check is from is credited in any case; what we get is transferred
      const isForOthers = claims.some(({ check }) => check);
      return { hash, paid, credited: creditedOf(network.contract, logs, isForOthers ? identity.address : undefined) };
    },
  };
};

const noKey = async (): Promise<never> => {
  throw new MystError("IDENTITY_MISSING", "without a key nothing can be sent to the chain");
};
const readOnly = {
  prepareSettle: noKey,
  prepareClear: noKey,
  raise: noKey,
  submit: noKey,
  deposit: noKey,
  close: noKey,
  withdraw: noKey,
  collect: noKey,
  move: noKey,
  finish: noKey,
};
