import type { ApiNode } from "../../../src/api/api.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { parseNetwork } from "../../../src/lib/network-config.ts";
import type { Connection, ConnectOptions, ExitView, ExplainView, FailoverView, NodeEvent, SessionView } from "../../../src/node/types.ts";

export const address = `0x${"ab".repeat(20)}` as const;
export const networkJson = {
  v: 1,
  name: "fake",
  chainId: 31337,
  rpc: ["http://127.0.0.1:1"],
  contract: `0x${"11".repeat(20)}`,
  startBlock: 0,
  confirmations: 0,
  token: { address: `0x${"22".repeat(20)}`, symbol: "MYST", decimals: 18 },
  bootstrap: [],
  protocolPrefix: "/mystnode/fake",
  minDeposit: "1000000000000000000",
  minBond: "1000000000000000000",
};

export const exit: ExitView = {
  peer: "16Uiu2HAmFakeExitPeerIdFakeExitPeerIdFakeExitPeerId11",
  address,
  addresses: ["/ip4/127.0.0.1/tcp/1"],
  country: "US",
  networkKind: "datacenter",
  service: "proxy",
  perGiB: 10n ** 17n,
  perHour: 10n ** 16n,
  policy: "no private networks",
  closedPorts: [25, 465, 587],
  sessions: 0,
  maxSessions: 5,
  expiresMs: 4_000_000_000_000,
  sources: ["gossip", "dht"],
};

export const explained: ExplainView = {
  ...{ peer: exit.peer, address, score: 0.81, quality: 0.83, evidence: { ok: 12.5, fail: 0.5 }, rttMs: 31, isNew: false },
  exits: [{ ...exit, score: 0.81, rttMs: 31 }],
  rank: {
    ...{ place: 1, of: 3, chance: 0.61, utility: 0.4 },
    factors: { score: 0.81, speed: 1, country: 1, price: 0.5, room: 1, places: 1 },
  },
  own: { sessions: 9, fails: 1, ok: 7.5, fail: 0.5, settled: 2n ** 80n, mbps: 90 },
  coPayers: [{ payer: address, weight: 2, ok: 5, fail: 0, settled: 10n ** 17n, via: [address] }],
  gossip: { weight: 5, raters: 7, flow: 0.1, reference: 0.2, most: 10, mostOfOne: 1 },
  stake: { bond: 10n ** 18n, ageMs: 86_400_000, share: 0.01 },
};

export const session: SessionView = {
  id: "00112233445566778899aabbccddeeff",
  role: "consumer",
  state: "ACTIVE",
  peer: exit.peer,
  service: "proxy",
  country: "US",
  perGiB: exit.perGiB,
  perHour: exit.perHour,
  channel: `0x${"cd".repeat(32)}`,
  startedMs: 1_000,
  usedBytes: 123_456_789_012_345_678n,
  usedMs: 5,
  billedBytes: 2n ** 80n,
  billedMs: 5_000,
  promises: 3,
  promised: 2n ** 90n,
  carriedIn: 0n,
};

export const failover: FailoverView = {
  choice: "any",
  state: "carrying",
  standby: { peer: exit.peer, country: "US" },
  usedBytes: session.usedBytes,
  promised: session.promised,
  switches: [
    { what: "resumed", atMs: 1, peer: exit.peer, session: session.id, tookMs: 2 },
    { what: "looking", atMs: 3, from: exit.peer, reason: "it is gone" },
  ],
};

/** As much of a node as the API uses, with what a test needs to move it. */
export function fakeNode() {
  const listeners = new Set<(event: NodeEvent) => void>();
  const calls: [name: string, options: unknown][] = [];
  const ending = Promise.withResolvers<SessionView>();
  ending.promise.catch(() => undefined);
  let current: Connection | undefined;
  let blocked = false;
  const end = async () => {
    current = undefined;
    ending.resolve({ ...session, state: "CLOSED", endedMs: 2_000 });
    return await ending.promise;
  };
  const connection: Connection = {
    sessionId: session.id,
    exit,
    endpoint: { socks: "127.0.0.1:1080" },
    session: () => session,
    sessions: () => [session],
    failover: () => failover,
    first: () => undefined,
    ended: ending.promise,
    disconnect: end,
  };
  const node: ApiNode = {
    peerId: exit.peer,
    address,
    network: parseNetwork(JSON.stringify(networkJson), "fake"),
    events: {
      on: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    connect: async (options: ConnectOptions) => {
      calls.push(["connect", options]);
      options.onStep?.({ step: "found", atMs: 1, matching: 2, exit });
      if (options.city === "slow")
        await new Promise((_, reject) => options.signal?.addEventListener("abort", () => reject(options.signal?.reason)));
      if (options.city === "nowhere")
        throw new MystError("NO_MATCHING_EXIT", "none", { hint: "try another", meta: { known: 3, price: 7n } });
      options.onStep?.({ step: "open", atMs: 2, endpoint: connection.endpoint });
      current = connection;
      return connection;
    },
    connection: () => current,
    unblock: async () => {
      const stood = blocked;
      blocked = false;
      return stood;
    },
    find: async (options) => {
      calls.push(["find", options]);
      return { matching: 2, exit };
    },
    look: async function* (options) {
      calls.push(["look", options]);
      yield { type: "exit", exit };
      yield { type: "gone", peer: exit.peer, service: exit.service };
    },
    exits: async (query) => {
      calls.push(["exits", query]);
      return [exit];
    },
    explain: async (peer) => {
      calls.push(["explain", peer]);
      return explained;
    },
    sessions: async () => [session],
    status: async () => ({
      version: "0.1.0",
      peer: exit.peer,
      address,
      network: "fake",
      uptimeMs: 7,
      addresses: [],
      peers: [{ peer: exit.peer, addresses: [], direction: "inbound" }],
      exitsKnown: 1,
      chain: { reachable: false, problem: "it is off" },
    }),
    wallet: {
      adopt: async () => true,
      show: async () => ({
        address,
        tokens: 1n,
        gas: 2n,
        deposit: 3n,
        bond: 4n,
        line: 5n,
        spent: 2n ** 95n,
        promised: 6n,
        liabilities: 7n,
        unsettled: 8n,
        unsettledChannels: 1,
        writtenOff: 1n,
        credit: 9n,
        owner: address,
        atRisk: { prepaid: 1n, bond: 4n, owed: 7n },
        closeAtMs: 12,
        retired: [{ signer: address, deposit: 1n, bond: 2n, closeAtMs: 3 }],
        unfinished: { what: "deposit", hash: "0xaa" },
      }),
      account: async (signer = address) => ({ signer, owner: address, balance: 3n, bond: 4n, line: 5n }),
      consent: async (owner) => ({ signer: address, owner, consent: `0x${"cc".repeat(64)}` }),
      outside: async (request) => {
        calls.push(["outside", request]);
        return { owner: address, signer: address, chainId: 1, transactions: [] };
      },
      deposit: async (amount, bond, { onSent, signal, ...account } = {}) => {
        calls.push(["deposit", { amount, bond, ...account }]);
        onSent?.({ what: "deposit", hash: "0xaa" });
        if (amount === 99n)
          await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new MystError("INTERRUPTED", "gone"))));
        return { hash: "0xaa" };
      },
      close: async () => ({ hash: "0xcc", closeAtMs: 7 }),
      withdraw: async () => ({ hash: "0xbb", withdrawn: 10n, credited: 0n }),
      move: async () => ({ hash: "0xdd" }),
      balances: async () => ({ tokens: 1n, gas: 2n }),
      channels: async () => [],
      settle: async () => {
        throw new TypeError("something of ours broke");
      },
    },
  };
  return {
    node,
    calls,
    /** what the last call was given */
    given: () => calls.at(-1)?.[1] as { signal: AbortSignal; onStep: unknown },
    listeners,
    /** leaves a kill switch behind */
    block: () => {
      blocked = true;
    },
    emit: (event: NodeEvent) => listeners.forEach((listener) => void listener(event)),
    fail: (error: Error) => ending.reject(error),
  };
}
