import { until } from "../../support/until.ts";
import { type Market, myst, openMarket, type Part } from "./market.ts";
import { type Connected, download } from "./use.ts";

export type AloneFound = {
  /** base units that the exit was promised for this connection, and holds */
  paid: bigint;
  bytes: number;
  ms: number;
};

const country = "US";
const size = 256 * 1024;
const findMs = 60_000;
const strangerMs = 5_000;
const clearMs = 180_000;

/** By its country, as people ask for one: no address and no peer is named. @throws what it failed with */
async function connectByCountry({ api }: Part): Promise<Connected> {
  const wanted = { service: "proxy" as const, country, maxPerGiB: 1000n * myst, maxPerHour: 1000n * myst, budget: myst };
  for await (const item of api.stream("connect", { ...wanted, proxy: "127.0.0.1:0" }, AbortSignal.timeout(findMs)))
    if (item.type === "connected") return item.connection;
  throw new Error("the node ended the request without a connection");
}

/** A market in which all have met by one peer; then that peer and the chain are gone, and who bought has ended. */
export async function openAlone(): Promise<Market> {
  await using undo = new AsyncDisposableStack();
  const market = undo.use(await openMarket({ priceGib: "1", settleAt: "0.01", payers: 2, apart: true }));
  const { boot, exit } = market;
  const payer = market.payers[0] as Part;
  await boot?.start();
  await exit.start();
  await payer.start();
  const finds = async () => (await payer.api.call("exits", { country })).exits.length > 0;
  await until(finds, findMs);
  // it has to have been served once: an exit reads who a payer is from the chain
  const first = await connectByCountry(payer);
  await download(market, first, BigInt(size)).over;
  await payer.api.call("disconnect");
  await payer.stop();
  await boot?.kill();
  await market.line.become("down");
  const opened = undo.move();
  return { ...market, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const promisedTo = async ({ api }: Part) =>
  (await api.call("channels")).channels.filter(({ role }) => role === "provider").reduce((sum, { cumulative }) => sum + cumulative, 0n);

/** One life of the buyer's node, which has nothing but what it remembers. */
export async function buyAlone(market: Market, ending: "stop" | "kill"): Promise<AloneFound> {
  const { exit } = market;
  const payer = market.payers[0] as Part;
  const before = await promisedTo(exit);
  await payer.start();
  const beganMs = performance.now();
  const connection = await connectByCountry(payer);
  const ms = performance.now() - beganMs;
  const bytes = await download(market, connection, BigInt(size)).over;
  await payer.api.call("disconnect");
  await (ending === "stop" ? payer.stop() : payer.kill());
  return { paid: (await promisedTo(exit)) - before, bytes, ms };
}

/** For the control: one that never ran before, and so remembers nobody. @returns how many exits it finds */
export async function stranger(market: Market): Promise<number> {
  const payer = market.payers[1] as Part;
  await payer.start();
  const { exits } = await payer.api.call("exits", { country, waitMs: strangerMs });
  await payer.stop();
  return exits.length;
}

/** The chain is back: whether all that was promised has been cleared, after a while. */
export async function clears(market: Market): Promise<boolean> {
  await market.line.become("up");
  const isCleared = async () => {
    const { channels } = await market.exit.api.call("channels");
    return channels.filter(({ role }) => role === "provider").every(({ paid, cumulative }) => paid === cumulative);
  };
  await until(isCleared, clearMs).catch(() => undefined);
  const { tokens } = await market.chain.balances(market.exit.address);
  return tokens === (await promisedTo(market.exit));
}

export const enough = ({ paid, bytes }: AloneFound): boolean => bytes === size && paid > 0n;
