import type { OptionKind } from "./option-kinds.ts";

type ArgumentRow = { name: string; kind: OptionKind; help: string; required?: boolean };
export type CommandRow = { summary: string; group: string; arguments?: readonly ArgumentRow[] };

const use = "Use the market";
const sell = "Serve it";
const keys = "Money and keys";
const care = "Set up and look after";

/** Every command, once: the parser, `--help` and docs/cli.md come from this table; its options are in options.ts. */
export const commands = {
  connect: {
    summary: "find an exit, agree on its price and go out through it",
    group: use,
    arguments: [{ name: "peer", kind: "peer", help: "this exit only; default: one of the best that match" }],
  },
  block: { summary: "let nothing leave this machine until it has a tunnel, now or from its next start on", group: use },
  disconnect: { summary: "end the running connection", group: use },
  exits: { summary: "list known exits by price, score or latency", group: use },
  explain: {
    summary: "show why an exit is ranked where it is",
    group: use,
    arguments: [{ name: "exit", kind: "peer", help: "its peer id, or the end of it", required: true }],
  },
  status: { summary: "show what the running node does", group: use },
  sessions: {
    summary: "list sessions, or show one",
    group: use,
    arguments: [{ name: "id", kind: "string", help: "this session in full" }],
  },
  serve: { summary: "run an exit and be paid for it", group: sell },
  wallet: { summary: "show what this node has, owes and is owed", group: keys },
  "wallet deposit": {
    summary: "put tokens on deposit, so that exits accept promises",
    group: keys,
    arguments: [{ name: "amount", kind: "amount", help: "with its unit, for example 5myst", required: true }],
  },
  "wallet close": { summary: "close the account for good; three days later everything can be taken out", group: keys },
  "wallet withdraw": { summary: "take everything out of an account that has been closed", group: keys },
  "wallet adopt": { summary: "go on with a data directory that was moved or restored, where nothing was promised since", group: keys },
  "wallet retire": { summary: "close the account of a key that has lost its ledger, and go on with a new key", group: keys },
  "wallet channels": { summary: "list payment channels", group: keys },
  "wallet settle": { summary: "clear what is owed to this node now", group: keys },
  "wallet consent": {
    summary: "let another wallet own this node's account",
    group: keys,
    arguments: [{ name: "owner", kind: "account", help: "that wallet's address", required: true }],
  },
  identity: { summary: "show this node's peer id and address", group: keys },
  "identity show": { summary: "show this node's peer id and address", group: keys },
  "identity export": { summary: "write the key to an encrypted keystore file", group: keys },
  "identity import": {
    summary: "take the key from a keystore file, or from a file with a private key in hex",
    group: keys,
    arguments: [{ name: "file", kind: "path", help: "the keystore (V3 JSON) or hex file", required: true }],
  },
  "identity rotate": { summary: "go on with a new key, under which peers know this node as before", group: keys },
  init: { summary: "make an identity and remember a network", group: care },
  network: { summary: "show the network in use", group: care },
  "network create": { summary: "deploy the contract to a chain and write a network file", group: care },
  "network show": { summary: "show the network in use", group: care },
  doctor: { summary: "check what a node needs on this machine", group: care },
  cleanup: { summary: "take away what a tunnel has left on this machine", group: care },
  devnet: { summary: "run a whole market on this machine, to try it and to test with", group: care },
  "devnet shell": {
    summary: "open a shell on the machine of one of its peers, where each has one",
    group: care,
    arguments: [{ name: "place", kind: "string", help: "which: guest (the default), consumer, exit-us, target and so on" }],
  },
  version: { summary: "print versions", group: care },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof commands;
