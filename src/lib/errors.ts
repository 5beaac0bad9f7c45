/**
 * Every error that reaches a person or an embedder carries one of these codes; scripts match on the code, never on the text.
 * The command line maps each to an exit status in one table (cli/exit-status.ts), which the compiler keeps complete.
 */
export type ErrorCode =
  // what a person typed
  | "USAGE"
  | "UNKNOWN_COMMAND"
  | "UNKNOWN_FLAG"
  | "BAD_VALUE"
  | "BAD_COUNTRY"
  | "BAD_AMOUNT"
  | "BAD_ADDRESS"
  | "BAD_CONFIG_FILE"
  | "CONSUMER_PRICE_ZERO"
  // networks
  | "NO_NETWORK"
  | "NETWORK_FILE_MISSING"
  | "NETWORK_FILE_INVALID"
  | "NETWORK_MISMATCH"
  // data directory, identity
  | "DATA_DIR_LOCKED"
  | "DATA_DIR_UNUSABLE"
  | "STORE_CORRUPT"
  | "STORE_FULL"
  | "IDENTITY_MISSING"
  | "IDENTITY_EXISTS"
  | "KEYSTORE_INVALID"
  | "PASSPHRASE_WRONG"
  | "PASSPHRASE_MISSING"
  | "PASSPHRASE_FILE"
  | "BAD_SIGNATURE"
  | "SLOW_CRYPTO"
  | "GEOIP_UNUSABLE"
  // the node and its socket
  | "NODE_NOT_RUNNING"
  | "NODE_UNREACHABLE"
  | "NOT_CONNECTED"
  | "ALREADY_CONNECTED"
  | "NOT_SERVING"
  | "PORT_IN_USE"
  | "PRIVILEGE_NEEDED"
  | "NODE_TOO_OLD"
  | "INTERRUPTED"
  // peers and discovery
  | "MALFORMED"
  | "PEER_UNREACHABLE"
  | "PEER_TIMEOUT"
  | "PEER_REFUSED"
  | "NO_MATCHING_EXIT"
  | "PRICE_OVER_CAP"
  | "OFFER_EXPIRED"
  | "SESSION_UNKNOWN"
  | "EXIT_FULL"
  | "PAYER_REFUSED"
  // money
  | "NO_DEPOSIT"
  | "INSUFFICIENT_FUNDS"
  | "INSUFFICIENT_GAS"
  | "BUDGET_TOO_SMALL"
  | "BUDGET_EXHAUSTED"
  | "DEPOSIT_TOO_SMALL"
  | "ACCOUNT_CLOSING"
  | "ACCOUNT_OPEN"
  | "NOT_OWNER"
  | "PROMISE_REFUSED"
  | "CREDIT_MISMATCH"
  | "PAYER_CONFLICT"
  | "OVERCHARGED"
  | "LEDGER_BEHIND"
  // chain
  | "RPC_UNREACHABLE"
  | "RPC_WRONG_CHAIN"
  | "CONTRACT_MISSING"
  | "CONTRACT_MISMATCH"
  | "RPC_STALE"
  | "GAS_PRICE_HIGH"
  | "TRANSACTION_STUCK"
  | "TRANSACTION_FAILED"
  // services
  | "SERVICE_UNKNOWN"
  | "POLICY_DENIED"
  | "DESTINATION_UNREACHABLE"
  | "TUNNEL_FAILED"
  | "TOOL_MISSING"
  // ours
  | "INTERNAL";

export type ErrorOptions = {
  /** what to do or run next, as one sentence or one command */
  hint?: string;
  /** plain facts for programs; never a secret */
  meta?: Record<string, string | number | boolean | bigint>;
  cause?: unknown;
};

/** The one error type of the product. */
export class MystError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly meta: Record<string, string | number | boolean | bigint>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MystError";
    this.code = code;
    this.hint = options.hint;
    this.meta = options.meta ?? {};
  }
}

export const isMystError = (error: unknown, code?: ErrorCode): error is MystError =>
  error instanceof MystError && (code === undefined || error.code === code);

/** Anything thrown, as a MystError: what is not ours becomes INTERNAL with the original as its cause. */
export const asMystError = (error: unknown, code: ErrorCode = "INTERNAL"): MystError =>
  error instanceof MystError ? error : new MystError(code, error instanceof Error ? error.message : String(error), { cause: error });
