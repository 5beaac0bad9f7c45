import { setTimeout as wait } from "node:timers/promises";
import type { Output } from "../../../src/api/routes.ts";
import { visit } from "../../../src/devnet/visit.ts";
import { asMystError } from "../../../src/lib/errors.ts";
import type { SessionView } from "../../../src/node/types.ts";
import { type Market, myst, type Part } from "./market.ts";

export type Connected = Extract<Output<"connect">, { type: "connected" }>["connection"];

const most = { service: "proxy" as const, maxPerGiB: 1000n * myst, maxPerHour: 1000n * myst };

/** One attempt to connect to the market's exit, whose end is the connection's. @throws what it failed with */
export async function connectOnce(market: Market, payer: Part, { budget = 10n * myst, signal = AbortSignal.timeout(30_000) } = {}) {
  const wanted = { ...most, peer: market.exit.peer, failover: "off" as const, budget };
  for await (const item of payer.api.stream("connect", { ...wanted, proxy: "127.0.0.1:0", via: [market.invite] }, signal))
    if (item.type === "connected") return item.connection;
  throw new Error("the node ended the request without a connection");
}

/** One attempt to connect to any exit of the market. @throws what it failed with */
export async function connectToAny(market: Market, payer: Part): Promise<Connected> {
  const wanted = { ...most, country: "US", budget: 10n * myst, proxy: "127.0.0.1:0", via: market.exits.map(({ invite }) => invite) };
  for await (const item of payer.api.stream("connect", wanted, AbortSignal.timeout(30_000)))
    if (item.type === "connected") return item.connection;
  throw new Error("the node ended the request without a connection");
}

/** what passes by itself while the other side comes back */
const passing = new Set(["PEER_UNREACHABLE", "PEER_TIMEOUT", "NO_MATCHING_EXIT", "ALREADY_CONNECTED"]);

/** Connects, again and again while the exit is just coming back. @throws any other error, or the last one after `ms` */
export async function connectSoon(market: Market, payer: Part, ms = 60_000): Promise<Connected> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      return await connectOnce(market, payer);
    } catch (error) {
      const { code } = asMystError(error);
      if (!passing.has(code) || performance.now() > end) throw error;
      await wait(200);
    }
  }
}

export type Download = {
  bytes(): number;
  /** resolves with how many came in all, however it ended */
  over: Promise<number>;
};

/** Begins to download through a connection; that it is cut off in the middle is no error. */
export function download(market: Market, { endpoint }: Pick<Connected, "endpoint">, bytes: bigint, signal?: AbortSignal): Download {
  let done = 0;
  const onBytes = (bytes: number) => {
    done = bytes;
  };
  const over = visit(`${market.webUrl}/bytes?n=${bytes}`, { socks: endpoint.socks ?? "", onBytes, ...(signal && { signal }) }).then(
    () => done,
    () => done,
  );
  return { bytes: () => done, over };
}

/** The session that a node has open now, as it stands. */
export const sessionNow = async ({ api }: Part): Promise<SessionView | undefined> =>
  (await api.call("status", {}, AbortSignal.timeout(20_000))).connection;
