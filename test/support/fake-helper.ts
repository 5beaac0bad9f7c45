import { randomBytes } from "node:crypto";
import { MystError } from "../../src/lib/errors.ts";
import type {
  ClientConfig,
  ClientTunnel,
  Credit,
  Endpoint,
  ExitConfig,
  ExitTunnel,
  Helper,
  HelperProbe,
  PeerStats,
  ShieldOptions,
  TunnelState,
  WgKey,
} from "../../src/services/wireguard/types.ts";

export const newKey = (): WgKey => randomBytes(32).toString("base64");
const none: PeerStats = { rxBytes: 0n, txBytes: 0n, handshakeMs: 0 };

/** A helper that changes nothing: what it is asked to do is written down, and counters are what the test says. */
export function fakeHelper(change: Partial<HelperProbe> = {}) {
  const calls: string[] = [];
  const credits: { key: WgKey; credit: Credit }[] = [];
  const counters = new Map<WgKey, PeerStats>();
  const presharedKeys = new Map<WgKey, WgKey | undefined>();
  const configs: {
    exit?: ExitConfig;
    client?: ClientConfig;
    control: Endpoint[];
    shield?: ShieldOptions;
    up?: Parameters<ClientTunnel["up"]>[0];
    first?: Parameters<ClientTunnel["up"]>[0];
  } = {
    control: [],
  };
  const ended = Promise.withResolvers<string>();
  const listeners: (() => void)[] = [];
  let clientCounters = none;
  let state: TunnelState = { intent: "open", fact: "down" };
  let problem: MystError | undefined;
  let places = 2;
  let failing = "";
  const fails = (what = "") => {
    if (problem && (failing === "" || failing === what)) throw problem;
  };

  const openExit = async (config: ExitConfig): Promise<ExitTunnel> => {
    calls.push("openExit");
    fails();
    configs.exit = config;
    return {
      publicKey: newKey(),
      listenPort: config.listenPort || 40_000,
      backend: "fake",
      ifname: "mystn0",
      egressIf: "eth0",
      gateway: "10.182.0.1",
      mtu: config.mtu,
      admit: async ({ publicKey, presharedKey }) => {
        fails();
        if (places === 0) throw new MystError("EXIT_FULL", "no address is left");
        places -= 1;
        calls.push(`admit ${publicKey}`);
        presharedKeys.set(publicKey, presharedKey);
        counters.set(publicKey, none);
        return { address: `10.182.0.${counters.size + 1}` };
      },
      credit: (key, credit) => void credits.push({ key, credit }),
      counters: (key) => counters.get(key) ?? none,
      dismiss: async (key) => {
        calls.push(`dismiss ${key}`);
        fails();
        return counters.get(key) ?? none;
      },
      greet: async ({ endpoint }) => void calls.push(`greet ${endpoint.address}:${endpoint.port}`),
      reach: async (_, place) => void calls.push(place ? `reach ${place.address}:${place.port}` : "reach"),
      onCounters: (callback) => listeners.push(callback),
      close: async () => void calls.push("closeExit"),
    };
  };

  const openClient = async (config: ClientConfig): Promise<ClientTunnel> => {
    calls.push("openClient");
    configs.client = config;
    configs.control = config.control;
    return {
      publicKey: newKey(),
      backend: "fake",
      ifname: "mystc0",
      first: {
        publicKey: newKey(),
        ifname: "mystf0",
        up: async (exit) => {
          calls.push("up first");
          fails("up first");
          configs.first = exit;
          state = { ...state, first: "up" };
        },
        mtu: async (mtu) => void calls.push(`mtu first ${mtu}`),
        counters: () => ({ ...clientCounters, droppedBytes: 0n }),
        onCounters: (callback) => listeners.push(callback),
        block: async (reason) => {
          calls.push("block first");
          state = { intent: "secured", fact: "blocked", problem: reason };
        },
      },
      state: () => state,
      secure: async (options) => {
        fails();
        if (state.intent !== "open" && JSON.stringify(options) === JSON.stringify(configs.shield)) return;
        calls.push("secure");
        configs.shield = options;
        state = { intent: options.killSwitch ? "secured" : "unguarded", fact: "securing" };
      },
      greet: async (_, greetings) => {
        for (const { endpoint } of greetings) calls.push(`greet ${endpoint.address}:${endpoint.port}`);
        return { listenPort: 40_001 };
      },
      up: async (exit) => {
        calls.push("up");
        fails("up");
        configs.up = exit;
        state = { intent: "secured", fact: "up" };
      },
      control: async (endpoints) => {
        calls.push("control");
        configs.control = endpoints;
      },
      mtu: async (mtu) => void calls.push(`mtu ${mtu}`),
      counters: () => ({ ...clientCounters, droppedBytes: 0n }),
      onCounters: (callback) => listeners.push(callback),
      block: async (reason) => {
        calls.push("block");
        state = { intent: "secured", fact: "blocked", problem: reason };
      },
      release: async () => {
        calls.push("release");
        state = { intent: "open", fact: "down" };
      },
    };
  };

  const helper: Helper = {
    probe: async () => ({
      backends: [{ kind: "fake", ok: true }],
      chosen: "fake",
      problems: [],
      blocked: false,
      ...change,
    }),
    openExit,
    openClient,
    cleanup: async () => ({ removed: [], failed: [] }),
    block: async () => void calls.push("blockAll"),
    ended: ended.promise,
    stop: async () => {
      calls.push("stop");
      ended.resolve("it was told to");
    },
  };
  return {
    helper,
    calls,
    credits,
    configs,
    /** of the admitted, by their public keys */
    presharedKeys,
    /** what a peer's counters say from now on; without a key those of the client */
    count: (rxBytes: bigint, txBytes: bigint, key?: WgKey) => {
      const stats = { rxBytes, txBytes, handshakeMs: 1 };
      if (key === undefined) clientCounters = stats;
      else counters.set(key, stats);
      for (const callback of listeners) callback();
    },
    /** what the next calls fail with, or those of one kind; undefined: nothing */
    fail: (error: MystError | undefined, what = "") => {
      failing = what;
      problem = error;
    },
    state: (next: TunnelState) => {
      state = next;
    },
    end: (reason: string) => ended.resolve(reason),
  };
}
