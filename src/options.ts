import type { CommandName } from "./commands.ts";
import { type Kinds, type OptionRow, of } from "./option-kinds.ts";

const networkKinds = ["residential", "datacenter", "mobile", "unknown"] as const;
const evidence = ["claimed", "database", "latency"] as const;
const owners = ["wallet deposit", "wallet close", "wallet withdraw"] as const;
/** by these a key is given up for another */
const keys = ["wallet retire", "identity rotate"] as const;
const wallets = ["wallet", ...owners, "wallet channels", "wallet settle", "wallet consent", "wallet adopt", ...keys] as const;

/**
 * Every option, once. The parser, `--help`, the environment variables, the schema of the config file and docs/cli.md all come
 * from this table: to add an option, add a row.
 *
 * An option of one command has that command's name in its variable and stands in its section of the config file
 * (`MYSTNODE_SERVE_COUNTRY`, `{"serve": {"country": "DE"}}`); one that several share has none (`MYSTNODE_RPC`, `{"rpc": …}`).
 */
export const options = [
  ...of(["connect"], "Which exit", [
    { name: "country", kind: "country", help: "only exits in this country, for example US" },
    { name: "city", kind: "string", help: "only exits in this city" },
    { name: "network-kind", kind: "choice", choices: networkKinds, help: "only exits that say their network is of this kind" },
    { name: "open-port", kind: "port", list: true, help: "only exits that let clients reach this port, for example 25 for mail" },
    { name: "service", kind: "choice", choices: ["wireguard", "proxy"], help: "how to go out; default: wireguard as root, else proxy" },
    { name: "min-score", kind: "share", help: "only exits with this score at least, from 0 to 1: see 'mystnode exits'" },
    { name: "evidence", kind: "choice", choices: evidence, help: "only exits with this much for their country: see 'mystnode explain'" },
    { name: "exclude", kind: "peer", list: true, help: "never this exit" },
    { name: "via", kind: "invite", list: true, help: "an invite: the address of an exit, or of a peer to ask" },
    {
      name: "failover",
      kind: "choice",
      choices: ["any", "same", "off"],
      help: "when the exit goes: any other that matches, the same again, or none; default: any; for a named exit: same",
    },
    { name: "hops", kind: "choice", choices: ["1", "2"], default: "1", help: "2: through an exit of another owner and network first" },
  ]),
  ...of(["connect"], "What it may cost", [
    { name: "max-price-gib", kind: "amount", default: "0.2", help: "take no exit that asks for more per GiB" },
    {
      name: "max-price-hour",
      kind: "amount",
      default: "0.05",
      help: "take no exit that asks for more per hour; 0: none that charges for time",
    },
    { name: "budget", kind: "amount", default: "1", help: "the most it may cost in all, whichever exits carry it" },
    {
      name: "fresh-identity",
      kind: "duration",
      help: "pay under a key and a peer id of their own, new ones after each such time, for example 7d; see docs/privacy.md",
    },
    { name: "dry-run", kind: "flag", once: true, help: "find the exit and show its price, pay nothing" },
  ]),
  ...of(["connect"], "Traffic", [
    { name: "proxy", kind: "hostport", default: "127.0.0.1:1080", help: "where the proxy listens, for SOCKS5 and HTTP" },
  ]),
  ...of(["serve"], "The offer", [
    {
      name: "service",
      kind: "choice",
      list: true,
      choices: ["wireguard", "proxy", "relay", "none"],
      help: "what to sell; relay: carry between peers behind NAT; none: only help the network; default: wireguard as root, else proxy",
    },
    { name: "country", kind: "country", help: "the country this exit is in; needed to sell" },
    { name: "city", kind: "string", help: "the city this exit is in" },
    { name: "network-kind", kind: "choice", choices: networkKinds, default: "unknown", help: "what kind of network this exit is on" },
    { name: "price-gib", kind: "amount", default: "0.1", help: "price per GiB, both directions together; 0 is allowed" },
    { name: "price-hour", kind: "amount", default: "0.01", help: "price per hour; 0 is allowed" },
    { name: "max-sessions", kind: "integer", default: "50", help: "serve this many at a time" },
    { name: "monthly-cap", kind: "size", help: "carry so much in a month (UTC), both ways together, and no more; default: any amount" },
    { name: "schedule", kind: "hours", list: true, help: "serve only then, by this machine's time, for example 'mon-fri 18:00-23:30'" },
    { name: "allow-payer", kind: "account", list: true, help: "serve this payer, and none that is not named so" },
    { name: "block-payer", kind: "account", list: true, help: "never serve this payer" },
  ]),
  ...of(["serve"], "Traffic", [
    { name: "allow", kind: "destination", list: true, help: "let clients reach this although the exit policy refuses it" },
    { name: "block", kind: "destination", list: true, help: "never let clients reach this" },
    { name: "closed-ports", kind: "ports", default: "25,465,587", help: "ports that clients reach at no address; default: those of mail" },
    { name: "egress-address", kind: "ip", help: "local address that clients' connections leave from" },
    { name: "speed-limit", kind: "speed", help: "the most for each client, each way, for example 20Mbit; default: any speed" },
    { name: "speed-limit-all", kind: "speed", help: "the most for all clients together, each way, shared fairly; default: any speed" },
  ]),
  ...of(["serve"], "Tunnel", [
    { name: "listen-port", kind: "port", default: "51820", help: "UDP port of WireGuard; 0 is any that is free" },
    { name: "endpoint", kind: "hostport", help: "where clients reach WireGuard; default: this peer's address, that port" },
    { name: "flow-limit", kind: "integer", default: "100", help: "so many new connections a second for each client" },
    { name: "ipv6", kind: "flag", help: "give clients IPv6, too; needs an IPv6 default route and a public address by it" },
    { name: "egress-if", kind: "interface", help: "interface that clients' traffic leaves by; default: the default route's" },
  ]),
  ...of(["block"], "Options", [
    { name: "at-boot", kind: "choice", choices: ["on", "off", "print"], once: true, help: "by a systemd unit" },
  ]),
  ...of(["connect", "block"], "Tunnel", [
    { name: "allow-lan", kind: "flag", help: "let the local network be reached, and reach this machine; never for DNS" },
  ]),
  ...of(["connect"], "Tunnel", [
    { name: "split", kind: "network", list: true, help: "a network to be reached without the tunnel, for example 192.0.2.0/24" },
    { name: "dns", kind: "ip", help: "ask this resolver, through the tunnel; default: the exit's" },
    { name: "kill-switch", kind: "choice", choices: ["on", "off"], default: "on", help: "off: without a tunnel everything leaves" },
    { name: "post-quantum", kind: "choice", choices: ["on", "off"], default: "on", help: "a key by ML-KEM-768 beside WireGuard's own" },
  ]),
  ...of(["serve", "connect"], "Tunnel", [
    {
      name: "backend",
      kind: "choice",
      choices: ["kernel", "wireguard-go", "wireguard-go-wg"],
      help: "what carries WireGuard; default: the first that works",
    },
    { name: "user", kind: "string", help: "run as this user; default with a tunnel: who called sudo, else mystnode or nobody" },
  ]),
  ...of(["serve"], "Earnings", [
    { name: "settle-at", kind: "amount", default: "0.1", help: "clear a channel in use once this much is owed on it, if worth its gas" },
    { name: "payout", kind: "account", help: "where cleared money goes, told as the exit's owner; default: this node's address" },
  ]),
  ...of(["serve"], "Watching", [
    { name: "watch", kind: "flag", help: "clear for exits that are away, for a fee; with --service none it does that alone" },
    { name: "watch-fee", kind: "percent", help: "what --watch takes of what it clears; default: 2%" },
    {
      name: "watch-max-fee",
      kind: "percent",
      default: "2%",
      help: "let peers clear for this node while it is away, for up to this of what they clear; 0%: nobody",
    },
  ]),
  ...of(["serve", "doctor"], "Network", [
    {
      name: "listen",
      kind: "listen",
      list: true,
      default: "/ip4/0.0.0.0/tcp/4480",
      help: "address for other peers, or host:port; /p2p-circuit: relays alone",
    },
  ]),
  ...of(["serve"], "Network", [
    { name: "upnp", kind: "choice", choices: ["on", "off"], default: "on", help: "without a public address, ask the router for ports" },
  ]),
  ...of(["serve"], "Relay", [
    {
      name: "relay",
      kind: "choice",
      choices: ["auto", "use", "offer", "none"],
      default: "auto",
      help: "use: be reached through relays; auto: where this peer has no public address; offer: be one, unpaid",
    },
    {
      name: "relay-data",
      kind: "size",
      help: "with --relay offer: carry so much for each connection, 64MiB at least; default: any amount",
    },
    { name: "relay-time", kind: "duration", help: "with --relay offer: carry each connection for so long, 24d at most; default: any time" },
    {
      name: "relay-port",
      kind: "port",
      default: "51821",
      help: "with --service relay: UDP port, and as many above it as --max-sessions; 0: any that are free",
    },
  ]),
  ...of(["serve", "connect", "exits", "network create"], "Network", [
    { name: "bootstrap", kind: "invite", list: true, help: "a further peer to start from" },
  ]),
  ...of(["serve", "connect", "exits", "devnet"], "Network", [
    {
      name: "discovery",
      kind: "choice",
      list: true,
      choices: ["gossip", "snapshot", "dht", "cache"],
      help: "sources of offers; cache: exits of earlier runs, asked themselves; default: all",
    },
  ]),
  ...of(["serve", "connect", "exits"], "Network", [
    {
      name: "mdns",
      kind: "choice",
      choices: ["on", "off"],
      default: "on",
      help: "look for peers on the local network, and be found there",
    },
  ]),
  ...of(["serve", "connect", "exits", "explain"], "Network", [
    { name: "geoip-db", kind: "path", list: true, help: "database of where addresses are (.mmdb), to check countries by" },
    { name: "here", kind: "country", help: "where this machine is, to check countries by latency; default: serve's --country" },
  ]),
  ...of(["serve", "connect"], "Network", [
    {
      name: "share-records",
      kind: "choice",
      choices: ["on", "off"],
      default: "on",
      help: "tell others, hours later, how sessions with exits went",
    },
  ]),
  ...of(["serve", "connect", "exits", "explain", "sessions", ...wallets, "doctor", "network create"], "Network", [
    { name: "rpc", kind: "url", help: "JSON-RPC endpoint of the chain, before those of the network file" },
  ]),
  ...of(["disconnect"], "Options", [{ name: "wait", kind: "flag", once: true, help: "return only when the session is closed" }]),
  ...of(["exits"], "Options", [
    { name: "country", kind: "country", help: "only this country" },
    { name: "city", kind: "string", help: "only this city" },
    { name: "service", kind: "choice", choices: ["wireguard", "proxy"], help: "only this service" },
    { name: "network-kind", kind: "choice", choices: networkKinds, help: "only exits that say their network is of this kind" },
    { name: "open-port", kind: "port", list: true, help: "only exits that let clients reach this port, for example 25 for mail" },
    { name: "max-price-gib", kind: "amount", help: "only up to this price per GiB" },
    { name: "max-price-hour", kind: "amount", help: "only up to this price per hour" },
    { name: "min-score", kind: "share", help: "only with this score at least, from 0 to 1" },
    { name: "evidence", kind: "choice", choices: evidence, help: "only with this much for their country; claimed: none refuted" },
    { name: "sort", kind: "choice", choices: ["price", "score", "latency"], default: "price", help: "order" },
    { name: "limit", kind: "integer", default: "20", help: "at most this many" },
    { name: "follow", kind: "flag", once: true, help: "go on with what is new, changed or gone; with --json one object a line" },
  ]),
  ...of(["sessions"], "Options", [
    { name: "role", kind: "choice", choices: ["consumer", "provider"], help: "only those where this node was that" },
    { name: "since", kind: "duration", help: "only those of this time up to now, for example 24h" },
  ]),
  ...of(["wallet deposit"], "Options", [
    { name: "bond", kind: "amount", help: "bond on top; default: what the network asks for and is missing" },
  ]),
  ...of(["wallet deposit"], "Another wallet", [
    { name: "owner", kind: "account", once: true, help: "this wallet shall pay, and own the account: print what it has to send" },
    { name: "consent", kind: "string", once: true, help: "with --for, the first time: what 'wallet consent' has printed there" },
  ]),
  ...of(["wallet withdraw"], "Options", [{ name: "to", kind: "account", once: true, help: "where it goes; default: the owner" }]),
  ...of(["wallet settle"], "Options", [{ name: "all", kind: "flag", once: true, help: "also what is not worth its gas" }]),
  ...of(owners, "Another wallet", [
    { name: "for", kind: "account", once: true, help: "the account of this signer; default: this node's" },
    { name: "wait", kind: "flag", once: true, help: "when another wallet has to send it: return once it is on chain" },
  ]),
  ...of([...owners, "wallet adopt", "wallet retire", "identity rotate"], "Options", [
    { name: "yes", kind: "flag", once: true, help: "do not ask" },
  ]),
  ...of(["init"], "Options", [{ name: "import", kind: "path", once: true, help: "take the key from this keystore or hex file" }]),
  ...of(["init", "identity import"], "Options", [
    { name: "import-password-file", kind: "path", once: true, help: "file with the imported keystore's passphrase; default: ask" },
  ]),
  ...of(["identity export"], "Options", [
    { name: "out", kind: "path", once: true, help: "the file to write; default: standard output" },
    { name: "export-password-file", kind: "path", once: true, help: "file with the exported keystore's passphrase; default: ask" },
  ]),
  ...of(["network create"], "Options", [
    { name: "token", kind: "account", once: true, help: "the ERC-20 to pay in; default: deploy a test token" },
    { name: "name", kind: "string", once: true, help: "what people call the network; default: private" },
    { name: "free-announcers", kind: "flag", once: true, help: "exits are heard also without a bond; default on local chains" },
    { name: "coin-price", kind: "amount", once: true, help: "what the chain's coin is worth, to weigh gas by; default: 1, local chains 0" },
    { name: "out", kind: "path", once: true, default: "network.json", help: "the network file to write" },
  ]),
  ...of(["devnet"], "Options", [
    { name: "once", kind: "flag", once: true, help: "run one whole cycle, clean up and end" },
    { name: "service", kind: "choice", choices: ["wireguard", "proxy"], help: "the service to try; default: wireguard where it works" },
    { name: "bytes", kind: "size", default: "64MiB", help: "how much to download in a cycle" },
  ]),
  ...of("all", "Everywhere", [
    { name: "data-dir", kind: "path", default: "$XDG_DATA_HOME/mystnode", help: "keystore, ledger and socket of one node" },
    { name: "config", kind: "path", default: "$XDG_CONFIG_HOME/mystnode/config.json", help: "config file (JSON)" },
    { name: "network", kind: "path", help: "network file; default: what the data directory remembers" },
    { name: "password-file", kind: "path", help: "file whose first line is the keystore's passphrase" },
    { name: "json", kind: "flag", help: "JSON on standard output: one object, or one a line for what goes on" },
    { name: "quiet", kind: "flag", help: "no progress, only results and errors" },
    { name: "no-color", kind: "flag", help: "no colours; the variable NO_COLOR does the same" },
    {
      name: "log-level",
      kind: "choice",
      choices: ["debug", "info", "warn", "error", "silent"],
      default: "warn",
      help: "what the log tells",
    },
  ]),
] as const satisfies readonly OptionRow[];

type Row = (typeof options)[number];
type Camel<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type RowOf<C extends CommandName, R extends Row = Row> = R extends { commands: "all" }
  ? R
  : R extends { commands: readonly (infer Of)[] }
    ? C extends Of
      ? R
      : never
    : never;
type One<R extends Row> = R extends { choices: readonly (infer Choice)[] } ? Choice : Kinds[R["kind"]];
type Value<R extends Row> = R extends { list: true }
  ? One<R>[]
  : R extends { default: string } | { kind: "flag" }
    ? One<R>
    : One<R> | undefined;

/** What a command is given: a value for each of its options, under its name in camelCase. A list not given is empty. */
export type Settings<C extends CommandName> = { [R in RowOf<C> as Camel<R["name"]>]: Value<R> };

/** "max-price-gib" -> "maxPriceGib" */
export const camel = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** The options of a command, the global ones last. */
export const optionsOf = (command: CommandName): readonly OptionRow[] =>
  (options as readonly OptionRow[]).filter((row) => row.commands === "all" || row.commands.includes(command));

/** The section of the config file that an option stands in: its command, when it has only one. */
export const sectionOf = (row: OptionRow): string | undefined =>
  row.commands !== "all" && row.commands.length === 1 ? row.commands[0]?.replace(" ", "-") : undefined;

/** MYSTNODE_SERVE_COUNTRY, MYSTNODE_DATA_DIR; none for what makes sense for one run only. */
export const variableOf = (row: OptionRow): string | undefined =>
  row.once ? undefined : ["MYSTNODE", sectionOf(row), row.name].filter(Boolean).join("_").replaceAll("-", "_").toUpperCase();
