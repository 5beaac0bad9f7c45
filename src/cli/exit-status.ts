import type { ErrorCode } from "../lib/errors.ts";

const failure = 1;
const usage = 2;
const notRunning = 3;
const noExit = 4;
const funds = 5;
const privilege = 6;
const tunnel = 7;
const budget = 8;
/** after Ctrl-C: 128 + SIGINT, as shells have it */
export const interrupted = 130;

/** Which status the process ends with, for every error there is: the compiler refuses a code without one. */
export const exitStatus: Record<ErrorCode, number> = {
  USAGE: usage,
  UNKNOWN_COMMAND: usage,
  UNKNOWN_FLAG: usage,
  BAD_VALUE: usage,
  BAD_COUNTRY: usage,
  BAD_AMOUNT: usage,
  BAD_ADDRESS: usage,
  BAD_CONFIG_FILE: usage,
  CONSUMER_PRICE_ZERO: usage,
  NO_NETWORK: usage,
  NETWORK_FILE_MISSING: usage,
  NETWORK_FILE_INVALID: usage,
  NETWORK_MISMATCH: usage,
  DATA_DIR_LOCKED: failure,
  DATA_DIR_UNUSABLE: failure,
  STORE_CORRUPT: failure,
  STORE_FULL: failure,
  IDENTITY_MISSING: failure,
  IDENTITY_EXISTS: failure,
  KEYSTORE_INVALID: failure,
  PASSPHRASE_WRONG: failure,
  PASSPHRASE_MISSING: failure,
  PASSPHRASE_FILE: failure,
  BAD_SIGNATURE: failure,
  SLOW_CRYPTO: failure,
  NODE_NOT_RUNNING: notRunning,
  NODE_UNREACHABLE: notRunning,
  NOT_CONNECTED: failure,
  ALREADY_CONNECTED: failure,
  NOT_SERVING: failure,
  PORT_IN_USE: failure,
  PRIVILEGE_NEEDED: privilege,
  NODE_TOO_OLD: failure,
  INTERRUPTED: interrupted,
  MALFORMED: failure,
  PEER_UNREACHABLE: tunnel,
  PEER_TIMEOUT: tunnel,
  PEER_REFUSED: tunnel,
  NO_MATCHING_EXIT: noExit,
  PRICE_OVER_CAP: noExit,
  OFFER_EXPIRED: noExit,
  SESSION_UNKNOWN: failure,
  EXIT_FULL: noExit,
  NO_DEPOSIT: funds,
  INSUFFICIENT_FUNDS: funds,
  INSUFFICIENT_GAS: funds,
  BUDGET_TOO_SMALL: budget,
  BUDGET_EXHAUSTED: budget,
  DEPOSIT_TOO_SMALL: funds,
  ACCOUNT_CLOSING: funds,
  PROMISE_REFUSED: failure,
  CREDIT_MISMATCH: failure,
  OVERCHARGED: failure,
  LEDGER_BEHIND: failure,
  RPC_UNREACHABLE: failure,
  RPC_WRONG_CHAIN: failure,
  CONTRACT_MISSING: failure,
  CONTRACT_MISMATCH: failure,
  RPC_STALE: failure,
  GAS_PRICE_HIGH: failure,
  TRANSACTION_STUCK: failure,
  TRANSACTION_FAILED: failure,
  SERVICE_UNKNOWN: failure,
  POLICY_DENIED: failure,
  DESTINATION_UNREACHABLE: tunnel,
  TUNNEL_FAILED: tunnel,
  TOOL_MISSING: failure,
  INTERNAL: failure,
};
