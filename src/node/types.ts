import type { PassphraseSource } from "../identity/passphrase.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import type { Schedule } from "../lib/schedule.ts";
import type { PeerSummary } from "../network/network.ts";
import type { BackendKind, Helper, ShieldOptions, TunnelState } from "../services/wireguard/types.ts";
import type { ConflictView, NodeEvent } from "./event-types.ts";
import type { DiscoverySource, EvidenceLevel, ExitChange, ExitQuery, ExitView, ExplainView, LookOptions } from "./exit-types.ts";
import type { FailoverChoice, FailoverView } from "./failover-types.ts";
import type { HopView, SessionView } from "./session-types.ts";
import type { Wallet } from "./wallet-types.ts";

export type { BackendKind, Helper, HelperProbe } from "../services/wireguard/types.ts";
export type * from "./event-types.ts";
export type * from "./exit-types.ts";
export type * from "./failover-types.ts";
export type * from "./session-types.ts";
export type * from "./wallet-types.ts";

export type NodeOptions = {
  /** holds the keystore, the database and the socket; its lock makes this process the node */
  dataDir: string;
  network: NetworkConfig;
  passphrase?: PassphraseSource;
  /** multiaddrs to listen on; default none: dial only */
  listen?: string[];
  /**
   * "use": be reached through relays; "auto", the default: where this peer listens and has no public address; an object: be a relay
   * for others, unpaid, and carry so much and for so long for each connection; "none": neither
   */
  relay?: "auto" | "use" | "none" | { dataLimit?: bigint; timeLimitMs?: number };
  /** further bootstrap peers, as multiaddrs with /p2p/ */
  bootstrap?: string[];
  /** which sources of offers to use; default all */
  discovery?: DiscoverySource[];
  /** look for peers on the local network, and be found there; default false */
  mdns?: boolean;
  /** an RPC URL that goes before the network file's */
  rpc?: string;
  /** tell others, hours later, how sessions with exits went; default true */
  shareRecords?: boolean;
  /** .mmdb files that say where addresses are; default none */
  geoipDbs?: string[];
  /** the country that this machine is in, to judge exits by how soon they answer; default: the one that it serves in */
  here?: string;
  /** what may change this machine's network, started before: without it there is no service `wireguard`; the node ends it */
  helper?: Helper;
  log?: Logger;
  clock?: Clock;
};

export type ServeOptions = {
  country: string;
  city?: string;
  networkKind?: string;
  /** kinds of service; empty: help the network only */
  services: ServeService[];
  maxSessions: number;
  /** bytes that may be carried in a month (UTC), both directions together, as sessions count them; then it is full. Default: any number */
  monthlyCap?: bigint;
  /** when it serves, by this machine's time; outside of it is full. Default: always */
  schedule?: Schedule;
  /** ask the router of the local network, by UPnP or NAT-PMP, for ports that lead here, where this peer has no public address; default false */
  upnp?: boolean;
  /** settle a channel once this much is unsettled, base units */
  settleAt: bigint;
  /** where settled money goes; default the node's own address. Told in the offer: exits with the same one are one operator's */
  payout?: Hex;
  /** clear for exits that are away, for a fee in hundredths of a percent */
  watch?: { feeBps: number };
  /** hand checks to peers that clear for this node while it is away, for up to this fee; 0: to none; default 200 */
  maxWatchFeeBps?: number;
  /** payers that are served, and nobody else; default everybody */
  allowPayers?: Hex[];
  /** payers that are never served */
  blockPayers?: Hex[];
};

/** Amounts in base units. */
export type WatchingView = {
  /** what this node clears for others while they are away; `cleared` channels and `earned` fees are those since its start */
  forOthers?: { feeBps: number; channels: number; providers: number; amount: bigint; cleared: number; earned: bigint };
  /** what these peers have said that they clear for this node while it is away */
  byOthers?: { channels: number; amount: bigint; by: string[] };
};

/** Ways out, which can be sold and bought. */
export type ServiceKind = "wireguard" | "proxy";

type Sold = {
  perGiB: bigint;
  perHour: bigint;
  /** destinations the operator lets through although the policy would refuse them: "127.0.0.1:8080" or "10.0.0.0/8" */
  allow: string[];
  block: string[];
  /** ports that no client reaches at any address; default those of mail */
  closedPorts?: number[];
  /** local address that clients' traffic leaves from */
  egressAddress?: string;
  /** bits a second in each direction; absent: any speed */
  speed?: { perClient?: number; whole?: number };
};

export type ServeService =
  | (Sold & { kind: "proxy" })
  /** `port`: UDP, where sockets are seen; the ports above it carry a session each. 0: any free ones. In a node's status the one in use */
  | (Sold & { kind: "relay"; port: number })
  | (Sold & {
      kind: "wireguard";
      /** UDP; 0: any free one. In a node's status the one in use */
      listenPort: number;
      /** default: the first that works. In a node's status the one in use */
      backend?: BackendKind;
      /** host:port at which clients reach it; default: the address at which they reached this peer, and the port it listens on */
      endpoint?: string;
      /** interface that clients' traffic leaves by; default: the default route's */
      egressIf?: string;
      /** connections that one client may open each second; absent: any number */
      flowLimit?: number;
      /** clients have IPv6, too; default false */
      ipv6?: boolean;
    });

export type ConnectOptions = {
  /** this peer only; else the best by price */
  peer?: string;
  country?: string;
  city?: string;
  /** as claimed */
  networkKind?: string;
  /** ports that clients of the exit can reach */
  openPorts?: number[];
  service: ServiceKind;
  /** base units; over it an exit is not considered */
  maxPerGiB: bigint;
  maxPerHour: bigint;
  /** base units: the most this connection may cost in all, whichever exits carry it */
  budget: bigint;
  /** 0 to 1: what is known of an exit must give it this score at least */
  minScore?: number;
  /** what must stand behind its country at least; default with a country: that it is not refuted */
  evidence?: EvidenceLevel;
  /**
   * What happens when the exit goes: `any` other that matches takes its place, the `same` is tried again, or `off`, the connection ends.
   * Default `any`, and `same` where `peer` names one.
   */
  failover?: FailoverChoice;
  exclude?: string[];
  /** an invite: multiaddrs with /p2p/ of the exit, or of peers to ask, dialled first */
  via?: string[];
  /** `proxy`: where it listens for SOCKS5 and HTTP, host:port; default 127.0.0.1:1080 */
  proxy?: string;
  /** `wireguard`: what carries it; default the first that works */
  backend?: BackendKind;
  /** `wireguard`: a preshared key by ML-KEM-768 for the session; default true */
  postQuantum?: boolean;
  /** `wireguard`: what passes beside the tunnel, and where names are looked up; default: nothing, at the exit */
  shield?: ShieldOptions;
  /**
   * `wireguard`: through so many exits, default 1. With 2 the session is with the last one, of which all that is asked here is asked; its tunnel goes
   * through that to another exit, of another owner and network, which has a session of its own. The budget is for both, half for each
   */
  hops?: 1 | 2;
  onStep?(step: ConnectStep): void;
  signal?: AbortSignal;
};

/** What `connect` looks for, without the connecting. */
export type FindOptions = Pick<
  ConnectOptions,
  | "peer"
  | "country"
  | "city"
  | "networkKind"
  | "openPorts"
  | "service"
  | "maxPerGiB"
  | "maxPerHour"
  | "minScore"
  | "evidence"
  | "exclude"
  | "via"
  | "signal"
>;

/** Progress of a connect, in this order; `atMs` counts from the command. */
export type ConnectStep =
  | { step: "found"; atMs: number; matching: number; exit: ExitView }
  | { step: "agreed"; atMs: number; perGiB: bigint; perHour: bigint; quantum: bigint; budget: bigint }
  | { step: "open"; atMs: number; endpoint: Record<string, string> };

/** A way out, which may be by several exits one after the other: each has a session of its own. What is told of it is as of now. */
export type Connection = {
  readonly sessionId: string;
  readonly exit: ExitView;
  readonly endpoint: Record<string, string>;
  session(): SessionView;
  /** all there have been, the one of now last; the newest hundred of them */
  sessions(): SessionView[];
  failover(): FailoverView;
  /** with two hops: how the first exit carries the tunnel to the other */
  first(): HopView | undefined;
  /** resolves with the last session when the connection has ended, however it did; rejects with what ended it against our will */
  ended: Promise<SessionView>;
  disconnect(): Promise<SessionView>;
};

export type ServingView = {
  country: string;
  services: ServeService[];
  sessions: number;
  maxSessions: number;
  /** carried in this month (UTC), bytes */
  carried: bigint;
  monthlyCap?: bigint;
  /** why no session may begin now, in words for people */
  closed?: string;
  watching?: WatchingView;
  /** absent where no router is asked */
  mapping?: MappingView;
};

/**
 * What the router of the local network was asked for. `announced`: peers have come in by it; `mapped`: nobody has, or it is not seen where it says
 * that it is; `none`: it maps nothing. `outside`: its own address. By `hand`: it maps nothing when it is asked, and peers come in all the same.
 */
export type MappingView = {
  state: "announced" | "mapped" | "none";
  by?: "nat-pmp" | "upnp" | "hand";
  router?: string;
  outside?: string;
  ports?: { protocol: "tcp" | "udp"; port: number; outside: number }[];
  /** why it is not announced */
  why?: string;
};

export type NodeStatus = {
  version: string;
  peer: string;
  address: Hex;
  network: string;
  uptimeMs: number;
  addresses: string[];
  peers: PeerSummary[];
  exitsKnown: number;
  serving?: ServingView;
  /** of a node that serves: payers that were found out */
  conflicts?: ConflictView[];
  /** of a node that sells: whether it has the bond without which this network hears no exit */
  announcing?: "bonded" | "unbonded" | "unknown";
  connection?: HopView & { failover: FailoverView /** with two hops */; first?: HopView };
  /** of a node that may open tunnels: what was asked for, and what is */
  tunnel?: TunnelView;
  chain: { reachable: boolean; block?: number; problem?: string };
};

export type TunnelView = TunnelState & { interface?: string; backend?: BackendKind };

export type Node = AsyncDisposable & {
  peerId: string;
  address: Hex;
  network: NetworkConfig;
  events: { on(listener: (event: NodeEvent) => void): () => void };
  /** Brings up libp2p and discovery. Wallet, channels and records work without it. */
  start(): Promise<void>;
  serve(options: ServeOptions): Promise<void>;
  connect(options: ConnectOptions): Promise<Connection>;
  connection(): Connection | undefined;
  /** Lifts the kill switch that a connection has left which did not end by wish. @returns whether there was one */
  unblock(): Promise<boolean>;
  /** The exit that `connect` would take; agrees on nothing and pays nothing. @throws NO_MATCHING_EXIT, PRICE_OVER_CAP */
  find(options: FindOptions): Promise<{ matching: number; exit: ExitView }>;
  exits(query: ExitQuery): Promise<ExitView[]>;
  /** Why this node thinks of an exit what it does; asks peers for what they know first. @throws NODE_NOT_RUNNING before `start`, NO_MATCHING_EXIT */
  explain(peer: string): Promise<ExplainView>;
  /** Exits as they are found, those known first, until every source has been asked or the signal fires. */
  look(options: LookOptions): AsyncIterable<ExitChange>;
  sessions(): Promise<SessionView[]>;
  status(): Promise<NodeStatus>;
  wallet: Wallet;
  /** Ends sessions, settles what can be settled within `graceMs`, closes everything. */
  stop(graceMs?: number): Promise<void>;
};

export type CreateNode = (options: NodeOptions) => Promise<Node>;
