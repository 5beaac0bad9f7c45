import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Hex } from "./codec.ts";
import { MystError } from "./errors.ts";

const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, "expected a 20-byte address in hex")
  .transform((text) => text.toLowerCase() as Hex);
const amount = z
  .string()
  .regex(/^\d{1,29}$/, "expected base units as a decimal string")
  .transform((text) => BigInt(text));

/** What all peers of one network agree on. Peers of different networks do not find, hear or pay one another. */
export const networkSchema = z.strictObject({
  v: z.literal(1),
  name: z.string().min(1).max(40),
  chainId: z.number().int().positive(),
  /** tried in order */
  rpc: z.array(z.url({ protocol: /^https?$/ })).min(1),
  contract: address,
  /** block of the contract's deployment: where reading events begins */
  startBlock: z.number().int().nonnegative(),
  /** blocks on top of one before what it says is counted on */
  confirmations: z.number().int().nonnegative(),
  token: z.strictObject({ address, symbol: z.string().min(1).max(12), decimals: z.number().int().min(0).max(36) }),
  /** multiaddrs that end in /p2p/<peer id> */
  bootstrap: z.array(z.string().max(200)),
  /** begins every libp2p protocol and topic name, for example /mystnode/1a2b3c4d */
  protocolPrefix: z.string().regex(/^\/mystnode\/[a-z0-9-]{1,40}$/),
  minDeposit: amount,
  minBond: amount,
  /** exits are heard also without a bond; where it is left out, only those with `minBond` on the chain */
  freeAnnouncers: z.boolean().optional(),
  /** what one whole coin of the chain is worth, in base units of the token: gas is weighed by it. 0: gas is free. Default one whole token */
  coinPrice: amount.optional(),
  /**
   * seconds that the newest block is old at most while the chain lives; an RPC that shows an older one is not believed. Without it
   * any age will do, as on chains that make a block only when there is something to put into it
   */
  maxHeadAge: z.number().int().positive().optional(),
});

export type NetworkConfig = z.output<typeof networkSchema>;

/** Base units of the token that a whole coin of the chain counts as. */
export const coinPriceOf = ({ coinPrice, token }: Pick<NetworkConfig, "coinPrice" | "token">): bigint =>
  coinPrice ?? 10n ** BigInt(token.decimals);

/**
 * Reads a network file (JSON, made by `mystnode network create`).
 * @throws NETWORK_FILE_MISSING, NETWORK_FILE_INVALID (names the first field that is wrong)
 */
export async function readNetworkFile(path: string): Promise<NetworkConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new MystError("NETWORK_FILE_MISSING", `cannot read the network file ${path}`, {
      hint: "make one with 'mystnode network create --rpc URL', or give its path with --network FILE",
      cause,
    });
  }
  return parseNetwork(text, path);
}

/** The same from its text; `source` names it in errors. */
export function parseNetwork(text: string, source: string): NetworkConfig {
  const invalid = (why: string, cause?: unknown) =>
    new MystError("NETWORK_FILE_INVALID", `${source} is no network file: ${why}`, {
      hint: "ask who gave it to you, or make one with 'mystnode network create --rpc URL'",
      cause,
    });
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw invalid("not JSON", cause);
  }
  const parsed = networkSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(`${issue?.path.join(".") || "top level"}: ${issue?.message}`);
}

/** The text of a network file. */
export const networkText = (network: NetworkConfig): string =>
  `${JSON.stringify(network, (_, value) => (typeof value === "bigint" ? value.toString() : value), 2)}\n`;
