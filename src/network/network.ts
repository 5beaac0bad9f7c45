import type { Reach } from "./dial-back.ts";
import type { HostPort } from "./own-addresses.ts";

/** A message stream to one peer: length-prefixed frames both ways, with back-pressure. Made from a libp2p stream. */
export type FrameStream = {
  /** the Noise-authenticated other side */
  peer: string;
  /** Resolves when the transport has taken the frame (so a slow peer slows the sender). @throws PEER_UNREACHABLE after a reset */
  send(frame: Uint8Array): Promise<void>;
  /** The next frame, or undefined once the other side has ended. @throws MALFORMED on a frame over the protocol's cap, PEER_UNREACHABLE on a reset */
  receive(signal?: AbortSignal): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
  abort(error: Error): void;
};

/** A byte stream to one peer, for services that carry traffic. */
export type ByteStream = {
  peer: string;
  /** Resolves when there is room for more: awaiting it is what carries back-pressure. */
  write(bytes: Uint8Array): Promise<void>;
  /** Chunks as they come; ends when the other side has closed its writing end; throws PEER_UNREACHABLE on a reset. Not read = not received. */
  read(): AsyncIterable<Uint8Array>;
  /** Ends our writing half; reading goes on. */
  closeWrite(): Promise<void>;
  abort(error: Error): void;
};

export type Validity = "accept" | "ignore" | "reject";

export type Topic<T> = {
  /** short name; the network's prefix is put before it */
  name: string;
  maxBytes: number;
  /** Messages one neighbour may hand us: `burst` at once, then `perSecond`. What is over it is ignored unread. Default 200 and 50. */
  quota?: { burst: number; perSecond: number };
  /**
   * Cheapest checks first. "reject" costs the sender its standing, "ignore" does not; throwing counts as "ignore". `later`: what is
   * to become of an accepted message in the end, where that takes longer; waiting for it takes up no place among those being checked.
   */
  validate(bytes: Uint8Array, from: string): Promise<{ validity: Validity; value?: T; later?: Promise<Validity> }>;
  /** called once per accepted message, before it is passed on */
  onMessage(value: T, from: string): void;
};

export type PeerSummary = { peer: string; addresses: string[]; direction: "inbound" | "outbound"; rttMs?: number };

/** A second connection to a peer: `take` ends those before it, `drop` this one. */
export type Redialled = { take(): void; drop(): void };

/** The peer's place in the network: all that the other parts may do with libp2p. Protocol names get the network's prefix. */
export type Network = AsyncDisposable & {
  peerId: string;
  /** our own addresses, each with /p2p/<peer id>; those through a relay come last */
  addresses(): string[];
  /** called when they may have changed */
  onAddresses(listener: () => void): () => void;
  /** where this peer itself listens, as multiaddrs */
  listening(): string[];
  /** Announces an IPv4 address of a router that leads to one of ours, over TCP. @returns what withdraws it */
  announce(own: HostPort, outside: HostPort): () => void;
  /**
   * Has peers dial this port of the IPv4 address that they see us at. `least`: so many networks have to say that we are not reached there;
   * that we are, nobody's word is taken for. Never throws.
   */
  reach(port: number, signal: AbortSignal, least?: number): Promise<Reach>;
  peers(): PeerSummary[];
  /** Dials unless connected. @throws PEER_UNREACHABLE, PEER_TIMEOUT */
  connect(peer: string, addresses: string[], signal: AbortSignal): Promise<void>;
  /** A round trip to a connected peer, ms. @throws PEER_UNREACHABLE, PEER_TIMEOUT */
  ping(peer: string, signal: AbortSignal): Promise<number>;
  /**
   * Dials although connected, as when the connection there is seems to lead nowhere. Streams go on over the earlier connection until the
   * new one is taken. @throws PEER_UNREACHABLE (`meta.refused`: its machine says that nobody listens there), PEER_TIMEOUT
   */
  redial(peer: string, addresses: string[], signal: AbortSignal): Promise<Redialled>;
  /** Ends all connections with a peer, and with them at once whatever runs over them. */
  hangUp(peer: string): void;
  /**
   * Opens frames to a peer that is connected or can be dialled from known addresses. `maxFrame` bounds what is received, 64 KiB unless told.
   * @throws PEER_UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED when the peer does not speak the protocol
   */
  openFrames(peer: string, protocol: string, signal: AbortSignal, options?: { maxFrame?: number }): Promise<FrameStream>;
  /** The same for bytes. */
  openBytes(peer: string, protocol: string, signal: AbortSignal): Promise<ByteStream>;
  /** The stream is closed when the handler returns, reset when it throws. */
  handleFrames(protocol: string, options: { maxFrame: number }, handler: (stream: FrameStream) => Promise<void>): Promise<void>;
  handleBytes(protocol: string, handler: (stream: ByteStream) => Promise<void>): Promise<void>;
  /**
   * One question, one answer, on a stream of its own. `maxAnswer` is 64 KiB unless told.
   * @throws PEER_UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED, MALFORMED when the answer is over `maxAnswer`
   */
  ask(peer: string, protocol: string, question: Uint8Array, signal: AbortSignal, options?: { maxAnswer?: number }): Promise<Uint8Array>;
  /**
   * An answerer may throw: the asker then sees PEER_REFUSED. `address`: where the connection comes from, a multiaddr. `quota`: questions of one peer, default 40 at once, then 5 a second.
   */
  answer(
    protocol: string,
    options: { maxQuestion: number; maxAnswer: number; quota?: { burst: number; perSecond: number } },
    answerer: (question: Uint8Array, from: string, address?: string) => Promise<Uint8Array>,
  ): Promise<void>;
  subscribe<T>(topic: Topic<T>): Promise<void>;
  unsubscribe(topic: string): Promise<void>;
  /** Sends to the topic without needing a subscription to it; resolves with the number of neighbours it went to. */
  publish(topic: string, bytes: Uint8Array): Promise<number>;
  /** called when a neighbour has subscribed to a topic, after which `publish` reaches it */
  onSubscriber(topic: string, listener: (peer: string) => void): () => void;
  /** Says in the DHT that this peer has what `key` names, until the signal aborts. */
  provide(key: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Peers that said so, as they are found, each with addresses to dial. */
  findProviders(key: Uint8Array, signal: AbortSignal): AsyncIterable<{ peer: string; addresses: string[] }>;
  /** Says that a peer has sent what no honest one can have sent: a few times, and it is banned. */
  complain(peer: string, why: string): void;
  /** Hangs up on a peer and speaks with it no more, as long as this network is up. */
  refuse(peer: string, why: string): void;
  /** called when a peer is connected and has said which protocols it speaks */
  onConnect(listener: (peer: string) => void): () => void;
  /** called when the last connection to a peer has ended */
  onDisconnect(listener: (peer: string) => void): () => void;
  stop(): Promise<void>;
};
