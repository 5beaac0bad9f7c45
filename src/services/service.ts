/**
 * What any metered service fulfils, a VPN or another. The session agrees on terms and money; the service carries traffic
 * and counts it. It knows nothing of prices: it may carry what it is allowed to, byte for byte, and no more.
 */
export type Admission = {
  /** 16 bytes, hex */
  sessionId: string;
  /** the consumer's peer id, proven by the transport */
  peer: string;
};

/** The provider's side of one session of a service. */
export type Grant = {
  /** what the consumer needs to open the service: sent along with the acceptance, at most 1 KB once encoded as CBOR */
  connection: Record<string, string | number | Uint8Array>;
  /** bytes carried so far for this session, both directions together; never falls */
  usedBytes(): bigint;
  /** Carry up to `totalBytes` in all (not further bytes); the service stalls, without loss, when they are used up. Never falls but on `stop`. */
  allow(totalBytes: bigint): void;
  /** Carry nothing until `allow` is called again: the time paid for is over. */
  suspend(): void;
  /** Ends it; resolves with the final count, after which nothing is carried any more. */
  end(): Promise<bigint>;
};

export type ServiceProvider = AsyncDisposable & {
  kind: string;
  /** one line for the offer: what this exit does not carry */
  policySummary(): string;
  admit(admission: Admission): Promise<Grant>;
};

/** The consumer's side. */
export type ServiceConsumer = {
  kind: string;
  /** Whether it could be opened on this machine now; asked before anything is paid. @throws what keeps it from being opened */
  check(): Promise<void>;
  open(opening: Opening): Promise<ServiceHandle>;
};

export type Opening = {
  sessionId: string;
  /** the exit's peer id */
  peer: string;
  connection: Grant["connection"];
  /** called after traffic, at most once per event-loop turn, with bytes carried so far in both directions together */
  onUsage(usedBytes: bigint): void;
  signal: AbortSignal;
};

export type ServiceHandle = {
  usedBytes(): bigint;
  /**
   * How long the exit has owed the service its oldest outstanding answer, one that the exit itself must give in time whatever others
   * do (for `proxy`: that a connection stands or cannot be had). 0 when it owes none. Time for which it owes is not bought ahead.
   */
  waitingMs(): number;
  /** how to use it, for people and programs: for `proxy` {socks: "127.0.0.1:1080"} */
  endpoint: Record<string, string>;
  /** Ends it; resolves with the final count. */
  close(): Promise<bigint>;
};
