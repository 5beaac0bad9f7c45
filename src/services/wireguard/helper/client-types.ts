import type {
  BackendKind,
  ClientCounters,
  Endpoint,
  Greeting,
  Leg,
  ShieldOptions,
  TunnelExit,
  TunnelState,
  WgBackend,
  WgKey,
} from "../types.ts";
import type { HostPort } from "./host-port.ts";

export type ClientDeps = {
  backend: WgBackend;
  host: HostPort;
  /** makes the firewall forget the connections of these addresses */
  forget(addresses: string[]): Promise<void>;
  log(level: "info" | "warn", message: string): void;
  onState(state: TunnelState): void;
  onCounters(leg: Leg, total: ClientCounters): void;
};

/** `first`: the interface that with two hops leads to the first exit */
export type ClientSettings = { ifname: string; first: string; uid: number; control: Endpoint[]; ipv6: boolean };
export type Exit = TunnelExit;

export type HelperClient = {
  publicKey: WgKey;
  first: { publicKey: WgKey };
  backend: BackendKind;
  secure(options: ShieldOptions): Promise<void>;
  greet(inside: Pick<Exit, "address" | "dns" | "mtu">, greetings: Greeting[]): Promise<{ listenPort: number }>;
  up(leg: Leg, exit: Exit): Promise<void>;
  control(endpoints: Endpoint[]): Promise<void>;
  mtu(leg: Leg, mtu: number): Promise<void>;
  /** The tunnel goes, and what is within it. */
  block(leg: Leg, reason: string): Promise<void>;
  release(): Promise<void>;
  /** The tunnel goes; a kill switch that stands stays, without anybody to look after it. */
  leave(): Promise<void>;
};
