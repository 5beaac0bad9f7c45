import type { Chain } from "../chain/chain.ts";
import { createChain } from "../chain/client.ts";
import { systemClock } from "../lib/clock.ts";
import { every, type Loop } from "../lib/lifecycle.ts";
import { silentLogger } from "../lib/ports.ts";
import type { Unit } from "../lib/units.ts";
import type { SessionView } from "../node/types.ts";
import type { DevnetObserver } from "./devnet.ts";
import type { DevnetConsumer, DevnetExit, DevnetNode } from "./parts.ts";
import type { DevnetState, DownloadRow, PeerRow, TunnelRow } from "./view.ts";

/** What the live view shows, kept current: by what is told, and by asking every node and the chain again and again. */
export type Live = AsyncDisposable & {
  state(): DevnetState;
  observer: DevnetObserver;
  download(row: DownloadRow): void;
  session(session: SessionView): void;
  /** Shows the tunnel from now on, as `ask` tells of it; undefined: as it was told last. */
  tunnel(ask: (() => Promise<TunnelRow>) | undefined): void;
};

const pollMs = 600;
const askMs = 2_000;
/** until the network says what it pays in */
const unknownUnit: Unit = { symbol: "MYST", decimals: 18 };

export function createLive(onStep: (text: string, atMs: number) => void = () => undefined): Live {
  const beganMs = performance.now();
  const rows = new Map<string, PeerRow>();
  const nodes = new Map<string, DevnetNode | DevnetExit | DevnetConsumer>();
  const steps: DevnetState["steps"] = [];
  let unit = unknownUnit;
  let chain: Chain | undefined;
  let chainRow: DevnetState["chain"];
  let session: DevnetState["session"];
  let download: DownloadRow | undefined;
  let tunnel: TunnelRow | undefined;
  let askTunnel: (() => Promise<TunnelRow>) | undefined;
  const change = (name: string, fields: Partial<PeerRow>) =>
    rows.set(name, { ...(rows.get(name) ?? { name, state: "starting" }), ...fields });
  const show = (view: SessionView) => {
    if (session?.state === "CLEARED" && view.state !== "CLEARED") return;
    session = { ...view, country: view.country ?? "" };
  };

  const askNode = async (node: DevnetNode | DevnetExit | DevnetConsumer) => {
    if (rows.get(node.name)?.state !== "up") return;
    const status = await node.api.call("status", {}, AbortSignal.timeout(askMs));
    change(node.name, { peers: status.peers.length, sessions: status.serving?.sessions ?? (status.connection ? 1 : 0) });
    if (status.connection) show(status.connection);
  };
  const askChain = async () => {
    if (!chain) return;
    const now = await chain.check();
    if (chainRow && now.block !== undefined) chainRow = { ...chainRow, block: now.block };
    for (const node of nodes.values()) {
      if ("egressAddress" in node) change(node.name, { balance: (await chain.balances(node.address)).tokens });
      if ("directAddress" in node) change(node.name, { balance: (await chain.account(node.address)).balance });
    }
  };
  const askRouter = async () => {
    const row = await askTunnel?.();
    if (askTunnel) tunnel = row;
  };
  // a part that does not answer keeps what was known of it
  const round = async () => {
    await Promise.allSettled([...[...nodes.values()].map(askNode), askChain(), askRouter()]);
  };
  const loop: Loop = every(systemClock, pollMs, round, () => undefined);

  const step = (text: string) => {
    const atMs = performance.now() - beganMs;
    steps.push({ atMs, text });
    onStep(text, atMs);
  };
  return {
    state: () => ({
      elapsedMs: performance.now() - beganMs,
      unit,
      peers: [...rows.values()],
      steps,
      ...(chainRow && { chain: chainRow }),
      ...(session && { session }),
      ...(download && { download }),
      ...(tunnel && { tunnel }),
    }),
    download: (row) => {
      download = row;
    },
    session: show,
    tunnel: (ask) => {
      askTunnel = ask;
    },
    observer: {
      step,
      network: (network) => {
        unit = network.token;
        chainRow = { chainId: network.chainId };
        chain = createChain({ network, log: silentLogger, clock: systemClock });
      },
      process: ({ name, ended }) => {
        change(name, { state: "starting" });
        void ended.then(() => change(name, { state: "ended", sessions: 0 }));
      },
      node: (node) => {
        nodes.set(node.name, node);
        const exit = "egressAddress" in node ? node : undefined;
        change(node.name, {
          state: "up",
          ...(exit && { country: exit.country, perGiB: exit.perGiB, perHour: exit.perHour, egress: exit.egressAddress ?? "127.0.0.1" }),
        });
      },
    },
    [Symbol.asyncDispose]: () => loop.stop(),
  };
}
