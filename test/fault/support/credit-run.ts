import { setTimeout as wait } from "node:timers/promises";
import { until } from "../../support/until.ts";
import type { Host } from "../../tunnel/support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../../tunnel/support/market.ts";
import { standStill } from "./stopped.ts";

/** Whose node stands still: the consumer's then promises nothing more, the exit's takes nothing back. */
export const stopped = ["consumer", "exit"] as const;
export type Stopped = (typeof stopped)[number];
export type CreditOptions = { stops: Stopped[]; log(line: string): void; signal?: AbortSignal };
export type CreditFound = {
  /** stops by whose */
  tried: Record<string, number>;
  /** bytes of tunnel that the consumer got and sent beyond what it had prepaid: the most of all stops, may be negative */
  over: number;
  /** the same where the exit's quota was raised by hand: more than allowed, or the count sees nothing */
  overWhenRaised: number;
  problems: string[];
};

/** what may be on its way */
export const allowance = 256 * 1024;
const recordMs = 3_000;
const raise = 4 * 2 ** 20;
const quietMs = 1_500;
const enoughBytes = 3 * 2 ** 20;

/** Bytes of UDP payload that WireGuard on a host has received and sent. */
function carried(host: Host): { received: number; sent: number } {
  const [received = 0, sent = 0] = (/\t(\d+)\t(\d+)\s*$/.exec(host.run("wg show all transfer"))?.slice(1) ?? []).map(Number);
  return { received, sent };
}

/** What came to the consumer and what of its own reached the exit, once nothing more comes. */
async function carriedInTheEnd({ consumer, exit }: TunnelMarket): Promise<number> {
  const now = () => carried(consumer.host).received + carried(exit.host).received;
  let most = now();
  for (let quietSinceMs = performance.now(); performance.now() - quietSinceMs < quietMs; await wait(50)) {
    const bytes = now();
    // a keepalive is 32 bytes
    if (bytes > most + 1000) quietSinceMs = performance.now();
    most = Math.max(most, bytes);
  }
  return most;
}

/** In the middle of a download a node stands still. How much is carried from then on, held against what was paid for by then. */
async function stopOnce(market: TunnelMarket, whose: Stopped, andRaise: boolean): Promise<{ over: number; overWhenRaised: number }> {
  const { consumer, exit, user, target } = market;
  await market.startConsumer();
  const download = () => void user.ask({ do: "transfer", host: target.address, way: "down", bytes: 2 ** 40 }).catch(() => undefined);
  download();
  const session = async () => (await consumer.api.call("status")).connection;
  await until(async () => ((await session())?.usedBytes ?? 0n) > enoughBytes, 30_000);
  await wait(Math.random() * 1_000);
  const { id = "" } = (await session()) ?? {};
  using still = standStill(market[whose].pid());
  const bytes = await carriedInTheEnd(market);
  // the other one knows what was paid for
  const other = whose === "consumer" ? exit : consumer;
  // its record follows what it has taken in
  await wait(recordMs);
  const paid = Number((await other.api.call("session", { id })).session.billedBytes);
  if (bytes < enoughBytes || paid < enoughBytes) throw new Error(`${bytes} bytes carried, ${paid} paid for: nothing is shown by that`);
  let overWhenRaised = 0;
  if (andRaise) {
    const { address } = (/(?<address>10\.\d+\.0\.\d+)/.exec(consumer.host.run("ip -4 -o address show"))?.groups ?? {}) as {
      address?: string;
    };
    const quota = `inet mystnode q_${address?.replaceAll(".", "_")}`;
    // what was paid for and has not come, lost on the way or since TCP had given up, is no part of what is carried for nothing
    const unused = Math.max(0, paid - bytes);
    // and on a busy machine much of what is let through is lost as well
    for (let more = unused + raise; overWhenRaised <= allowance && more <= 8 * (unused + raise); more *= 2) {
      // nothing is said of one that has used nothing
      const used = Number(/used (\d+)/.exec(exit.host.run(`nft list quota ${quota}`))?.[1] ?? 0);
      exit.host.run(`nft 'add quota ${quota} { over ${used + more} bytes; }'`);
      // the old connection has waited so long for an answer that it asks again only after seconds
      download();
      overWhenRaised = (await carriedInTheEnd(market)) - paid;
    }
  }
  still.go();
  await consumer.stop();
  consumer.command(["cleanup"]);
  return { over: bytes - paid, overWhenRaised };
}

/** Stops nodes of a market with a tunnel, one after the other. */
export async function runCredit({ stops, log, signal }: CreditOptions): Promise<CreditFound> {
  // time is cheap and bytes are dear: what is used up is bytes
  await using market = await openTunnelMarket({ priceGib: "0.1", priceHour: "0" });
  const found: CreditFound = { tried: {}, over: Number.NEGATIVE_INFINITY, overWhenRaised: 0, problems: [] };
  await market.startExit();
  for (const [index, whose] of stops.entries()) {
    if (signal?.aborted) break;
    try {
      const { over, overWhenRaised } = await stopOnce(market, whose, whose === "consumer" && found.overWhenRaised === 0);
      found.over = Math.max(found.over, over);
      found.overWhenRaised = Math.max(found.overWhenRaised, overWhenRaised);
      found.tried[whose] = (found.tried[whose] ?? 0) + 1;
      log(`stop ${index + 1} of ${stops.length}: ${whose}; ${over} bytes beyond what was paid for`);
      if (over > allowance) found.problems.push(`stop ${index + 1} (${whose}): ${over} bytes beyond what was paid for`);
    } catch (error) {
      found.problems.push(`stop ${index + 1} (${whose}): ${(error as Error).message}`);
      log(found.problems.at(-1) ?? "");
      break;
    }
  }
  return found;
}
