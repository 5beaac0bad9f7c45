/** The parts of the WireGuard service, as they see each other. Keys are 32 bytes in base64, as `wg` prints them. */
export type WgKey = string;

export type BackendKind = "kernel" | "wireguard-go" | "wireguard-go-wg" | "fake";

/** WireGuard's own counters of a peer: bytes of UDP payload. They begin anew when a peer is removed and added again. */
export type PeerStats = {
  /** from the peer */
  rxBytes: bigint;
  /** to the peer */
  txBytes: bigint;
  /** unix ms of the last handshake; 0 when there was none */
  handshakeMs: number;
  /** where it was last heard from, as the backend says */
  endpoint?: { address: string; port: number };
};

export type WgPeer = {
  publicKey: WgKey;
  presharedKey?: WgKey;
  /** CIDR networks */
  allowedIps: string[];
  endpoint?: { address: string; port: number };
  keepaliveS?: number;
};

export type DeviceConfig = {
  ifname: string;
  privateKey: WgKey /** 0 or absent: any free one */;
  listenPort?: number;
  fwmark?: number;
  mtu: number;
  /** wraps the work in which the device's sockets are made, where a process makes them */
  whileBinding?: <T>(work: () => Promise<T>) => Promise<T>;
};

/** Keys and peers of one interface; addresses, routes and firewall are the host plan's. */
export type WgBackend = {
  kind: BackendKind;
  probe(): Promise<BackendProbe>;
  open(config: DeviceConfig): Promise<WgDevice>;
};
export type BackendProbe = { ok: boolean /** when not */; reason?: string; version?: string };

export type WgDevice = {
  ifname: string;
  listenPort: number;
  addPeer(peer: WgPeer): Promise<void>;
  /** Carries nothing for the peer until `resume`, and keeps its endpoint and handshake. */
  suspend(key: WgKey): Promise<void>;
  resume(key: WgKey): Promise<void>;
  /** Resolves with its last counters. */
  removePeer(key: WgKey): Promise<PeerStats>;
  /** `quick`: for who reads again and again; handshakes without a packet may be missed for a second */
  stats(quick?: boolean): Promise<Map<WgKey, PeerStats>>;
  /** called once when the device has gone by itself */
  onExit(callback: (reason: string) => void): void;
  close(): Promise<void>;
};

/** A handshake to a key that was made up to be seen where it comes from: see `services/relay`. */
export type Greeting = { publicKey: WgKey; endpoint: { address: string; port: number } };

/** The privileged helper as the node sees it: the only part of the product that may change the host's network. */
export type Helper = {
  probe(): Promise<HelperProbe>;
  openExit(config: ExitConfig): Promise<ExitTunnel>;
  openClient(config: ClientConfig): Promise<ClientTunnel>;
  /** Takes away all that an earlier run left on the host, a kill switch too, and restores what it had changed. Nothing of its own may be open. */
  cleanup(): Promise<Cleanup>;
  /** The kill switch, without a tunnel and without anybody who looks after it: it stays until `cleanup`, or until a client takes it over. */
  block(options: Pick<ShieldOptions, "lan">): Promise<void>;
  /** resolves when the helper's process has ended, with why */
  ended: Promise<string>;
  /** Ends it: an exit goes, and so does a client's tunnel; a kill switch that was not released stays. */
  stop(): Promise<void>;
};

export type HelperProbe = {
  backends: ({ kind: BackendKind } & BackendProbe)[];
  /** the first that works */
  chosen?: BackendKind;
  /** what keeps an exit or a client from being opened here, in words for people */
  problems: string[];
  /** A kill switch stands that a connection left which has ended: nothing but its `control` passes. */
  blocked: boolean;
};

/** In words for people: what was there and is gone ("interface mystn0", "sysctl net.ipv4.ip_forward"), and what could not be taken away, with why. */
export type Cleanup = { removed: string[]; failed: string[] };

export type ExitConfig = {
  backend?: BackendKind;
  /** UDP port; 0: any free one */
  listenPort: number;
  mtu: number;
  /** interface that clients' traffic leaves by; absent: the one of the default route */
  egressIf?: string;
  /** source address of clients' traffic; absent: as the kernel chooses */
  egressAddress?: string;
  /** destinations in the forms of `--allow` and `--block` */
  allow: string[];
  block: string[];
  /** ports refused at every address; default those of mail */
  closedPorts?: number[];
  /** bits a second in each direction, for each client and for all together; absent: any speed */
  speed?: { perClient?: number; whole?: number };
  /** connections that one client may open each second; absent: any number */
  flowLimit?: number;
  /** clients have IPv6, too; default false */
  ipv6?: boolean;
};

export type ExitTunnel = {
  publicKey: WgKey;
  listenPort: number;
  backend: BackendKind;
  ifname: string;
  egressIf: string;
  /** where clients send their DNS questions */
  gateway: string;
  mtu: number;
  /** Resolves once the peer is in: the consumer's first handshake must not come before. @throws EXIT_FULL */
  admit(peer: { publicKey: WgKey; presharedKey?: WgKey }): Promise<{ address: string /** where clients have IPv6 */; address6?: string }>;
  /**
   * What each may use, enforced outside of the node's process: forwarding stops once `totalBytes` in all (both directions, as
   * WireGuard counts) have been carried since `admit`, or `forMs` from now. Calls of one turn are put together into one change.
   */
  credit(key: WgKey, credit: Credit): void;
  /** counted since `admit`, through suspends and restarts of the device; read at least every `counterMs` while somebody asks */
  counters(key: WgKey): PeerStats;
  /** Takes the peer out; resolves with its last counters. */
  dismiss(key: WgKey): Promise<PeerStats>;
  /** Sends a greeting from the socket that clients reach; forgotten after `greetingMs`. */
  greet(greeting: Greeting): Promise<void>;
  /** Sends a client a first packet where it is said to be, at once; without a place: sends to where it is from now on, so that NAT keeps the way. */
  reach(key: WgKey, place?: { address: string; port: number }): Promise<void>;
  /** called after new counters were read */
  onCounters(callback: () => void): void;
  close(): Promise<void>;
};
export type Credit = { totalBytes: bigint; forMs: number };

/** On the gateway's address, where the node answers clients' DNS questions, over UDP and TCP; the exit's plan leads port 53 there. */
export const dnsPort = 5380;

/** On the gateway's address, where the node sends back what clients send to see which packets pass, UDP. */
export const pathPort = 5381;

/** How often the counters of an exit or a client are read. */
export const counterMs = 100;

export type Endpoint = {
  address: string;
  port: number;
  protocol: "tcp" | "udp";
  /** reached through the first of two tunnels, or not at all */
  through?: true;
};

export type ClientConfig = {
  backend?: BackendKind;
  /** user id whose connections to `control` may pass outside of the tunnel */
  uid: number;
  /** the exit's and other peers' addresses, the chain's RPC */
  control: Endpoint[];
};

/** What a user lets pass beside the tunnel, and where names are looked up; `closed` where nothing was asked for. */
export type ShieldOptions = {
  /** false: nothing is kept in whenever there is no tunnel */
  killSwitch: boolean;
  /** private, link-local and multicast addresses, in both directions */
  lan: boolean;
  /** networks that are reached without the tunnel: "192.0.2.0/24" */
  split: string[];
  /** the resolver that is asked through the tunnel; absent: the exit's */
  dns?: string;
};
export const closed: ShieldOptions = { killSwitch: true, lan: false, split: [] };

/** Intent apart from fact: what was asked for (`unguarded`: a tunnel, and no kill switch), and what is. */
export type TunnelState = {
  intent: "secured" | "unguarded" | "open";
  fact: "down" | "securing" | "handshaking" | "up" | "blocked";
  /** why it is blocked, or that blocking itself has failed */
  problem?: string;
  /** with two hops: the tunnel to the first exit is up, whatever the one within it does */
  first?: "up";
};

/** `droppedBytes`: what came from the exit and was thrown away by this machine before WireGuard could count it, at most */
export type ClientCounters = PeerStats & { droppedBytes: bigint };

/** Where a client's tunnel goes, and what it is inside. */
export type TunnelExit = {
  publicKey: WgKey;
  presharedKey?: WgKey;
  endpoint: Endpoint;
  address: string;
  /** its IPv6 address inside; in use while packets of 1,280 bytes pass */
  address6?: string;
  dns: string;
  mtu: number;
  punch?: boolean;
};

/** The only tunnel, or with two hops one of the two: that to the `first` exit, or that to the `last`, within it. */
export type Leg = "first" | "last";

export type TunnelLeg = {
  publicKey: WgKey;
  ifname: string;
  /**
   * Interface, routes and DNS; resolves with the first handshake. From the socket that has greeted, if one has. `punch`: the exit is behind NAT, so
   * it may answer from another port than it was seen at; tried again and again, for 5 s. With two hops the first goes before the one within.
   * @throws PEER_TIMEOUT
   */
  up(exit: TunnelExit): Promise<void>;
  /** The largest packet that may go into the tunnel, from 1,280 bytes after each `up`; the tunnel's own MTU at most. */
  mtu(mtu: number): Promise<void>;
  counters(): ClientCounters;
  onCounters(callback: () => void): void;
  /** The tunnel goes, and what is within it; the kill switch stays. */
  block(reason: string): Promise<void>;
};

export type ClientTunnel = TunnelLeg & {
  backend: BackendKind;
  /** carries the tunnel that all the rest is about, and the node's way to its exit, and nothing else */
  first: TunnelLeg;
  state(): TunnelState;
  /** The kill switch, first and atomically; nothing but loopback, `control` and what the options say passes from then on. Again for others. */
  secure(options: ShieldOptions): Promise<void>;
  /**
   * Makes the tunnel, with nobody in it, and sends these greetings from its socket; again to send them anew or to others. The kill switch lets
   * them through, and nothing beside.
   */
  greet(inside: { address: string; dns: string; mtu: number }, greetings: Greeting[]): Promise<{ listenPort: number }>;
  control(endpoints: Endpoint[]): Promise<void>;
  /** The host as it was before `secure`. */
  release(): Promise<void>;
};
