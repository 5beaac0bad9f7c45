import { type ErrorCode, MystError } from "../lib/errors.ts";

const doctor = "run 'mystnode doctor'";
const help = "see 'mystnode --help'";
const another = "try again, or another exit: see 'mystnode exits'";
const newer = "the other side may be of another version: compare 'mystnode version', or connect to another exit";
const network = "get the current network file, and name it with --network FILE";
const deposit = "add to it with 'mystnode wallet deposit'";

/** What to do next, for errors that come without a hint of their own: from a peer, from a chain, from deep within. */
const hints: Record<ErrorCode, string> = {
  USAGE: help,
  UNKNOWN_COMMAND: help,
  UNKNOWN_FLAG: help,
  BAD_VALUE: help,
  BAD_COUNTRY: "use the two letters, for example US, DE or JP",
  BAD_AMOUNT: "write it with its unit, for example 0.1myst",
  BAD_ADDRESS: help,
  BAD_CONFIG_FILE: "docs/cli.md lists what may stand in it",
  CONSUMER_PRICE_ZERO: "name the most you would pay with --max-price-gib",
  NO_NETWORK: "try 'mystnode devnet', or name a network file with --network FILE",
  NETWORK_FILE_MISSING: network,
  NETWORK_FILE_INVALID: network,
  NETWORK_MISMATCH: "use another --data-dir for another network",
  DATA_DIR_LOCKED: "see 'mystnode status', or choose another --data-dir",
  DATA_DIR_UNUSABLE: "check that you own it and may write to it, or choose another --data-dir",
  STORE_CORRUPT: doctor,
  STORE_FULL: "free some disk space",
  IDENTITY_MISSING: "make one with 'mystnode init'",
  IDENTITY_EXISTS: "look at it with 'mystnode identity show', or choose another --data-dir",
  KEYSTORE_INVALID: "restore it from a backup with 'mystnode identity import FILE'",
  PASSPHRASE_WRONG: "give the right one with --password-file FILE",
  PASSPHRASE_MISSING: "give it with --password-file FILE",
  PASSPHRASE_FILE: "it is a text file whose first line is the passphrase",
  BAD_SIGNATURE: newer,
  SLOW_CRYPTO: doctor,
  GEOIP_UNUSABLE: "name a whole .mmdb file with --geoip-db, or leave it out",
  NODE_NOT_RUNNING: "start one with 'mystnode connect' or 'mystnode serve'",
  NODE_UNREACHABLE: "see 'mystnode status'",
  NOT_CONNECTED: "connect with 'mystnode connect'",
  ALREADY_CONNECTED: "end it with 'mystnode disconnect'",
  NOT_SERVING: "serve with 'mystnode serve --country CC'",
  PORT_IN_USE: "choose another one: --proxy host:port to connect, --listen host:port to serve",
  PRIVILEGE_NEEDED: "run it as root (sudo mystnode ...), or use --service proxy, which needs none",
  NODE_TOO_OLD: "install a newer Node",
  INTERRUPTED: "run the same command again to go on",
  MALFORMED: newer,
  PEER_UNREACHABLE: another,
  PEER_TIMEOUT: another,
  PEER_REFUSED: another,
  NO_MATCHING_EXIT: "see 'mystnode exits', and ask for less: --country, --city, --exclude",
  PRICE_OVER_CAP: "raise --max-price-gib or --max-price-hour, or see 'mystnode exits'",
  OFFER_EXPIRED: another,
  SESSION_UNKNOWN: "list them with 'mystnode sessions'",
  EXIT_FULL: another,
  PAYER_REFUSED: "connect to another exit: this one's operator chooses whom to serve",
  NO_DEPOSIT: "make one with 'mystnode wallet deposit'",
  INSUFFICIENT_FUNDS: deposit,
  INSUFFICIENT_GAS: "send some of the chain's own coin to the address that 'mystnode wallet' shows",
  BUDGET_TOO_SMALL: "give a larger --budget",
  BUDGET_EXHAUSTED: "connect again, with a larger --budget",
  DEPOSIT_TOO_SMALL: "deposit more: 'mystnode network show' says how much",
  ACCOUNT_OPEN: "begin to close it with 'mystnode wallet close'",
  NOT_OWNER: "only the wallet that owns it may do that: 'mystnode wallet' shows which",
  ACCOUNT_CLOSING: "take everything out with 'mystnode wallet withdraw', then begin anew in another --data-dir",
  PROMISE_REFUSED: another,
  CREDIT_MISMATCH: another,
  PAYER_CONFLICT: "this key has promised elsewhere too, and not as its ledger has it: run 'mystnode wallet retire'",
  OVERCHARGED: "connect again with --exclude and this exit's peer id",
  LEDGER_BEHIND: "run 'mystnode wallet retire': it closes this account and begins with a new key",
  RPC_UNREACHABLE: "check the network, or name another endpoint with --rpc URL",
  RPC_WRONG_CHAIN: "name an endpoint of the network's chain with --rpc URL",
  CONTRACT_MISSING: network,
  CONTRACT_MISMATCH: network,
  RPC_STALE: "name another endpoint with --rpc URL, and check this machine's clock",
  GAS_PRICE_HIGH: "wait until gas is cheaper, or clear all the same with 'mystnode wallet settle --all'",
  TRANSACTION_STUCK: "wait; it stays valid, and is sent again",
  TRANSACTION_FAILED: "look at 'mystnode wallet', then try again",
  SERVICE_UNKNOWN: "see 'mystnode exits'",
  POLICY_DENIED: "another exit may allow it: see 'mystnode exits --json'",
  DESTINATION_UNREACHABLE: "check the destination, or try another exit",
  TUNNEL_FAILED: doctor,
  TOOL_MISSING: doctor,
  INTERNAL: "run it again with --log-level debug, and report what it tells",
};

/** The error with a hint, whoever forgot it. */
export const withHint = (error: MystError): MystError =>
  error.hint !== undefined
    ? error
    : new MystError(error.code, error.message, { hint: hints[error.code] ?? hints.INTERNAL, meta: error.meta, cause: error.cause });
