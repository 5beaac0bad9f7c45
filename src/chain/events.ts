import { BlockNotFoundError, parseEventLogs } from "viem";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import type { ChainEvent, EventSource } from "./chain.ts";
import { unpackContent } from "./claims.ts";
import type { Client, Endpoints } from "./endpoints.ts";

/** The newest block that counts. Never before the contract was there: until that block is final it is the best there is. */
export const finalBlock = (head: bigint, { confirmations, startBlock }: Pick<NetworkConfig, "confirmations" | "startBlock">): bigint => {
  const deep = head - BigInt(confirmations);
  const start = BigInt(startBlock) < head ? BigInt(startBlock) : head;
  return deep > start ? deep : start;
};

const lower = (hex: Hex): Hex => hex.toLowerCase() as Hex;
const wanted = mystClearingAbi.filter(
  (item) => item.type === "event" && ["Deposited", "Cleared", "Closing", "BondBurned"].includes(item.name),
);

/** The contract's events, read by block range; never by subscription, which loses what a reorg undoes. */
export const createEventSource = (endpoints: Endpoints, network: NetworkConfig): EventSource => ({
  head: () =>
    endpoints.call("reading the newest block", async (client) => {
      const head = await client.getBlockNumber({ cacheTime: 0 });
      endpoints.saw(head);
      const { number, hash } = await client.getBlock({ blockNumber: finalBlock(head, network) });
      return { number: Number(number), hash };
    }),
  blockHash: (number) =>
    endpoints.call("reading a block", (client) =>
      client.getBlock({ blockNumber: BigInt(number) }).then(
        ({ hash }) => hash,
        (error) => {
          if (error instanceof BlockNotFoundError) return undefined;
          throw error;
        },
      ),
    ),
  events: (fromBlock, toBlock) =>
    endpoints.call("reading events", (client) => readEvents(client, network.contract, BigInt(fromBlock), BigInt(toBlock))),
});

async function readEvents(client: Client, address: Hex, fromBlock: bigint, toBlock: bigint): Promise<ChainEvent[]> {
  const logs = await client.getLogs({ address, events: wanted, fromBlock, toBlock });
  const times = await blockTimes(client, logs);
  return parseEventLogs({ abi: mystClearingAbi, logs }).flatMap((log): ChainEvent[] => {
    const timeMs = times.get(log.blockNumber) ?? 0;
    const at = { block: Number(log.blockNumber), logIndex: log.logIndex, hash: log.blockHash, timeMs };
    switch (log.eventName) {
      case "Deposited": {
        const { signer, owner, amount, bond, line } = log.args;
        return [{ ...at, type: "deposited", signer: lower(signer), owner: lower(owner), amount, bond, line }];
      }
      case "Cleared": {
        const { signer, channel, content, paid } = log.args;
        return [{ ...at, type: "cleared", signer: lower(signer), channel, ...unpackContent(content), paid }];
      }
      case "Closing":
        return [{ ...at, type: "closing", signer: lower(log.args.signer), closeAtMs: log.args.closeAt * 1000 }];
      case "BondBurned":
        return [{ ...at, type: "bondBurned", signer: lower(log.args.signer) }];
      default:
        return [];
    }
  });
}

/** When the blocks of some logs were made, ms since the epoch. Most RPCs say so with the log; others are asked, once for each block. */
export async function blockTimes(
  client: Pick<Client, "getBlock">,
  logs: { blockNumber: bigint; blockTimestamp?: bigint | undefined }[],
): Promise<Map<bigint, number>> {
  const times = new Map<bigint, number>();
  for (const { blockNumber, blockTimestamp } of logs) {
    if (times.has(blockNumber)) continue;
    const seconds = blockTimestamp ?? (await client.getBlock({ blockNumber })).timestamp;
    times.set(blockNumber, Number(seconds) * 1_000);
  }
  return times;
}
