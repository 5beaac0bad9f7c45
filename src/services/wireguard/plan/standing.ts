import type { ShieldState } from "./shield.ts";

/** The state that a client's host is to be in, with the tunnel where that has one; `first`: the tunnel through which that one goes, or is to go. */
export type Standing = { first?: FirstTunnel | undefined } & (
  | { state: Exclude<ShieldState, "handshaking" | "up">; tunnel?: undefined }
  | { state: "handshaking" | "up"; tunnel: TunnelFacts }
);

type Place = { address: string; port: number };

export type TunnelFacts = {
  /** where WireGuard's packets go, always UDP */
  exit: Place;
  /** where they go beside, before there is an exit: peers that see where they come from */
  also?: Place[];
  /**
   * While a way through two NATs is looked for, the port that WireGuard listens on: the exit's address may send to it unasked, and be answered,
   * from whatever port, for its NAT may give it another one for us.
   */
  punching?: number | undefined;
  /** the address that the exit gave us */
  address: string;
  /** the IPv6 address beside it; in use where `pathMtu` is what IPv6 needs, else as if there were none */
  address6?: string;
  /** where all questions to port 53 go, an address inside the tunnel */
  dns: string;
  /** of the device */
  mtu: number;
  /** the largest packet that reaches the exit, as far as is known: all routes but those to the exit itself keep to it */
  pathMtu: number;
};

export type FirstTunnel = TunnelFacts & { ifname: string };
