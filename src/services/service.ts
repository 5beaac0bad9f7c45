import type { MystError } from "../lib/errors.ts";

/**
 * What any metered service fulfils, a VPN or another. The session agrees on terms and money; the service carries traffic
 * and counts it. It knows nothing of prices: it may carry what it is allowed to, byte for byte, and no more.
 */
export type Admission = {
  /** 16 bytes, hex */
  sessionId: string;
  /** the consumer's peer id, proven by the transport */
  peer: string;
  /** what the consumer's side of the service asks for; empty for `proxy` */
  request?: ServiceRequest;
};

/** What the two ends of a service tell each other while terms are agreed, at most 2 KB once encoded as CBOR. */
export type ServiceRequest = Record<string, string | number | Uint8Array>;

/** What was asked upwards and has not been answered by a single byte, as one end of a service sees it; see `unanswered.ts`. */
export type Waiting = {
  /** how long the wait has lasted that goes on now; 0 when nothing is waited for */
  nowMs: number;
  /** time waited beyond the grace of each wait, all waits together, the present one included; never falls. Not sold. */
  beyondMs: number;
};

/** The provider's side of one session of a service. */
export type Grant = {
  /** what the consumer needs to open the service: sent along with the acceptance, at most 2 KB once encoded as CBOR */
  connection: ServiceRequest;
  /** bytes carried so far for this session, both directions together; never falls */
  usedBytes(): bigint;
  /**
   * Carry up to `totalBytes` in all (not further bytes) during the next `forMs`, the paid time that is left (absent: without end); the service stalls,
   * without loss, when they are used up. `totalBytes` never falls. A service that carries outside of this process ends it by itself.
   */
  allow(totalBytes: bigint, forMs?: number): void;
  /** How long the exit waits for a target's answer; its grace is `exitPatience.graceMs`. */
  unanswered(): Waiting;
  /** The consumer says that so many bytes have reached it, both its word and never taken for more than was sent. */
  acknowledge?(receivedBytes: bigint): void;
  /** Carry nothing until `allow` is called again: the time paid for is over. */
  suspend(): void;
  /** Ends it; resolves with the final count, after which nothing is carried any more. */
  end(): Promise<bigint>;
};

export type ServiceProvider = AsyncDisposable & {
  kind: string;
  /** one line for the offer: what this exit does not carry */
  policySummary(): string;
  /** ports that it carries to at no address; the offer names them */
  closedPorts(): number[];
  admit(admission: Admission): Promise<Grant>;
};

/** The consumer's side. */
export type ServiceConsumer = {
  kind: string;
  /** Whether it could be opened on this machine now; asked before anything is paid. @throws what keeps it from being opened */
  check(): Promise<void>;
  /** What the exit's side has to know to admit us; told with each proposal. `sessionId`: 16 bytes, hex; `policy`: the line of its offer */
  request?(sessionId: string, policy?: string): Promise<ServiceRequest>;
  open(opening: Opening): Promise<ServiceHandle>;
  /** Gives up what is held on to from one session to the next. */
  release?(): Promise<void>;
};

export type Opening = {
  sessionId: string;
  /** the exit's peer id */
  peer: string;
  connection: Grant["connection"];
  /** called after traffic, at most once per event-loop turn, with bytes carried so far in both directions together */
  onUsage(usedBytes: bigint): void;
  /** The exit has answered, and the way to it is still to be found: that takes a while. */
  onSearch?(): void;
  /** called once when it carries nothing any more, and not because anybody wished so */
  onFailed?(error: MystError): void;
  signal: AbortSignal;
};

export type ServiceHandle = {
  usedBytes(): bigint;
  /** bytes that have reached us, for `Grant.acknowledge`; where the exit's own count says it, absent */
  receivedBytes?(): bigint;
  /** Bytes that came as far as this machine and were thrown away by it, at most; absent where nothing can be lost. */
  droppedBytes?(): bigint;
  /** How long the consumer waits for an answer; its grace is `consumerPatience.graceMs`. */
  unanswered(): Waiting;
  /**
   * Asks the exit's end for an answer from inside of the service, ms there and back; where that is no other way than its node is reached by,
   * absent. It is carried, counted and paid for as any other. @throws what was in the way, as when nothing has come
   */
  inside?(signal: AbortSignal): Promise<number>;
  /** how to use it now, for people and programs: for `proxy` {socks: "127.0.0.1:1080", http: "127.0.0.1:1080"} */
  readonly endpoint: Record<string, string>;
  /** Ends it; resolves with the final count. `alone`: the exit is gone, so nothing is waited for. */
  close(alone?: boolean): Promise<bigint>;
};
