import { MystError } from "../../../lib/errors.ts";
import type { ClientConfig, ClientCounters, ClientTunnel, Leg, TunnelLeg, TunnelState } from "../types.ts";
import type { Calls } from "./calls.ts";
import { initialState } from "./client-state.ts";
import { results } from "./protocol.ts";

/** The node's view of a client that the helper holds: state and counters are what it told last. */
export async function clientTunnel(calls: Calls, { backend, uid, control }: ClientConfig): Promise<ClientTunnel> {
  if (backend === "fake") throw new MystError("BAD_VALUE", "the helper has no such backend");
  let state: TunnelState = initialState;
  const none: ClientCounters = { rxBytes: 0n, txBytes: 0n, handshakeMs: 0, droppedBytes: 0n };
  const counters: Record<Leg, ClientCounters> = { first: none, last: none };
  const callbacks: Record<Leg, (() => void)[]> = { first: [], last: [] };
  // a node opens one for each of its sessions: nothing of an old one may stay
  const off = calls.on((event) => {
    if (event.event === "clientState") {
      const { intent, fact, problem, first } = event.state;
      state = { intent, fact, ...(problem !== undefined && { problem }), ...(first && { first }) };
    }
    if (event.event === "ending" && state.intent !== "open")
      state = { intent: state.intent, fact: "blocked", problem: `the tunnel's helper has ended: ${event.reason}` };
    if (event.event !== "clientCounters") return;
    const [rxBytes, txBytes, droppedBytes] = [event.rx, event.tx, event.dropped].map(BigInt) as [bigint, bigint, bigint];
    counters[event.leg] = { rxBytes, txBytes, handshakeMs: event.handshakeMs, droppedBytes };
    for (const callback of callbacks[event.leg]) callback();
  });
  const done = async (request: Parameters<Calls["ask"]>[0]) => {
    await calls.ask(request, results.done);
  };
  const legOf = (leg: Leg): Omit<TunnelLeg, "publicKey" | "ifname"> => ({
    up: ({ publicKey, presharedKey, endpoint, address, address6, dns, mtu, punch }) =>
      done({
        ...{ op: "up", leg },
        exit: {
          ...{ publicKey, ...(presharedKey && { presharedKey }), endpoint, address, dns, mtu },
          ...{ ...(address6 !== undefined && { address6 }), ...(punch && { punch }) },
        },
      }),
    mtu: (mtu) => done({ op: "mtu", leg, mtu }),
    counters: () => counters[leg],
    onCounters: (callback) => callbacks[leg].push(callback),
    block: (reason) => done({ op: "block", leg, reason: reason.slice(0, 300) }),
  });
  const { first, ...last } = await calls
    .ask({ op: "openClient", config: { ...(backend && { backend }), uid, control } }, results.openClient)
    .catch((error) => {
      off();
      throw error;
    });
  return {
    ...last,
    ...legOf("last"),
    first: { ...first, ...legOf("first") },
    state: () => state,
    secure: (options) => done({ op: "secure", options }),
    greet: ({ address, dns, mtu }, greetings) => calls.ask({ op: "greet", inside: { address, dns, mtu }, greetings }, results.greet),
    control: (endpoints) => done({ op: "control", endpoints }),
    release: async () => {
      await done({ op: "release" });
      off();
    },
  };
}
