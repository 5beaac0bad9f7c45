import { BaseError, decodeErrorResult, HttpRequestError, InsufficientFundsError, TimeoutError } from "viem";
import type { Hex } from "../lib/codec.ts";
import { type ErrorCode, MystError } from "../lib/errors.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import { testTokenAbi } from "./abi/test-token.ts";

/** What went wrong without the URL, which may hold the key of an RPC provider. */
const plainCause = (error: unknown): Error =>
  new Error(error instanceof BaseError ? withoutUrls(error.shortMessage) : error instanceof Error ? error.name : "unknown");
const withoutUrls = (text: string): string => text.replace(/\b(?:https?|wss?):\/\/\S+/gi, "<url>");

/** What the RPC itself said, in one line and without URLs. */
export const rpcDetails = (error: unknown): string => {
  const inner = error instanceof BaseError ? error.walk() : error;
  const text =
    inner instanceof BaseError ? `${inner.shortMessage} ${inner.details}` : String((inner as Error | undefined)?.message ?? inner);
  return withoutUrls(text).replace(/\s+/g, " ").slice(0, 300);
};

/** The error with which our contract or a token would revert, decoded; undefined when it is none that we know. */
export function revertOf(error: unknown): { name: string; args: readonly unknown[] } | undefined {
  if (!(error instanceof BaseError)) return undefined;
  let data: Hex | undefined;
  error.walk((cause) => {
    const found = (cause as { data?: unknown }).data;
    const hex = typeof found === "object" && found !== null ? (found as { data?: unknown }).data : found;
    if (typeof hex === "string" && /^0x[0-9a-f]{8,}$/i.test(hex)) data = hex as Hex;
    return false;
  });
  if (data === undefined) return undefined;
  try {
    const { errorName, args } = decodeErrorResult({ abi: [...mystClearingAbi, ...erc20Errors], data });
    return { name: errorName, args: args ?? [] };
  } catch {
    return undefined;
  }
}
const erc20Errors = testTokenAbi.filter((item) => item.type === "error" && item.name.startsWith("ERC20"));

const revertCodes: Record<string, [ErrorCode, string]> = {
  AccountClosing: ["ACCOUNT_CLOSING", "the account is closing"],
  TooEarly: ["ACCOUNT_CLOSING", "the account is not closed yet"],
  NothingToCollect: ["NO_DEPOSIT", "the contract holds no credit for this address"],
  NotOwner: ["NOT_OWNER", "the account belongs to another owner"],
  ConsentInvalid: ["BAD_SIGNATURE", "the signer has not consented to this owner"],
  ERC20InsufficientBalance: ["INSUFFICIENT_FUNDS", "the wallet does not hold enough tokens"],
};

/**
 * Anything that viem throws, as one of our errors; `what` names the call. A refusal that nobody has decoded counts as
 * RPC_UNREACHABLE: another URL, or the same one later, may answer.
 */
export function chainError(error: unknown, what: string): MystError {
  if (error instanceof MystError) return error;
  const cause = plainCause(error);
  const revert = revertOf(error);
  if (revert) {
    const [code, text] = revertCodes[revert.name] ?? ["TRANSACTION_FAILED", `the contract refuses it (${revert.name})`];
    return new MystError(code, text, { cause, meta: { revert: revert.name } });
  }
  if (!(error instanceof BaseError)) return new MystError("INTERNAL", `${what}: ${cause.message}`, { cause });
  if (error.walk((inner) => inner instanceof InsufficientFundsError) || /insufficient funds/i.test(rpcDetails(error)))
    return new MystError("INSUFFICIENT_GAS", "the wallet cannot pay the fee of the transaction", { cause });
  if (/revert/i.test(rpcDetails(error))) return new MystError("TRANSACTION_FAILED", "the transaction would fail on chain", { cause });
  const silent = error.walk((inner) => inner instanceof HttpRequestError || inner instanceof TimeoutError) !== null;
  return unreachable(
    silent ? `${what}: the chain's RPC does not answer` : `${what}: the chain's RPC refuses (${rpcDetails(error)})`,
    cause,
  );
}

/** The error for an RPC that is not there. */
export const unreachable = (message: string, cause?: unknown): MystError =>
  new MystError("RPC_UNREACHABLE", message, {
    hint: "check the network, or name another RPC with --rpc URL; deposits and promises stay safe meanwhile",
    ...(cause !== undefined && { cause }),
  });

/** The error for an RPC that shows a chain of the past. */
export const stale = (message: string): MystError =>
  new MystError("RPC_STALE", message, {
    hint: "it has lost touch with its chain, or this machine's clock is wrong: name another RPC with --rpc URL",
  });
