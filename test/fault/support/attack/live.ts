import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createChain } from "../../../../src/chain/client.ts";
import { fund } from "../../../../src/devnet/funding.ts";
import { ownProgram } from "../../../../src/devnet/processes.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { clearingDomain } from "../../../../src/payments/eip712.ts";
import { streamProtocol } from "../../../../src/services/proxy/protocol.ts";
import { maxSessionFrame, sessionProtocol } from "../../../../src/session/messages.ts";
import { startPeer } from "../../../net/support.ts";
import { until } from "../../../support/until.ts";
import { type Market, myst, openMarket, type Part } from "../market.ts";
import { connectSoon, download, sessionNow } from "../use.ts";
import { bond, type Door, deposit, prices } from "./door.ts";

/** The exit of a market, a process of its own on real ledgers and a real chain, and what it takes up. */
export type LiveDoor = Door & { market: Market; size(): Promise<Size> };
/** `mib`: in memory once its garbage is collected; `rssMib`: what it has of the machine's */
export type Size = { mib: number; rssMib: number; handles: number };

const openMs = 20_000;
const spare = myst;

/** @param targetPort what its clients may reach on this machine */
export async function openLiveDoor(targetPort: number): Promise<LiveDoor> {
  await using undo = new AsyncDisposableStack();
  const market = undo.use(await openMarket({ priceGib: "0.1", priceHour: "0.000000001", allow: [`127.0.0.1:${targetPort}`] }));
  const { exit, network } = market;
  const payer = market.payers[0] as Part;
  const weight = join(exit.dataDir, "..", "weight");
  await Promise.all([exit.start(weighed(weight)), payer.start()]);
  const bystanders = new Set([payer.address]);
  const [rpc = ""] = network.rpc;
  const pid = exit.process().pid;
  const opened = undo.move();
  return {
    ...{ market, domain: clearingDomain(network), service: "proxy", prices, deposit, bond, bystanders },
    ...{ clock: systemClock, shortMs: 5_000 },
    exit: { peer: exit.peer, address: exit.address },
    payer: async (standing = "open") => {
      const peer = await startPeer({ protocolPrefix: network.protocolPrefix, gossip: false, dht: false, listen: [] });
      const { identity, network: host } = peer;
      if (standing !== "none") {
        const chain = createChain({ network, identity, log: silentLogger, clock: systemClock });
        await fund(rpc, network, identity.address, deposit + bond + spare);
        await chain.deposit(deposit, bond);
        if (standing === "closing") await chain.close();
      }
      // A busy machine may miss a ping, and hang up; and an exit takes a few streams of a kind at a time, of one peer.
      const soon = async <T>(open: (signal: AbortSignal) => Promise<T>): Promise<T> => {
        const signal = AbortSignal.timeout(openMs);
        for (;;) {
          try {
            await host.connect(exit.peer, [market.invite], signal);
            return await open(signal);
          } catch (error) {
            if (signal.aborted) throw error;
            await systemClock.sleep(100);
          }
        }
      };
      await soon(async () => undefined);
      return {
        ...{ identity, standing },
        open: () => soon((signal) => host.openFrames(exit.peer, sessionProtocol, signal, { maxFrame: maxSessionFrame })),
        connect: () => soon((signal) => host.openBytes(exit.peer, streamProtocol, signal)),
        [Symbol.asyncDispose]: peer[Symbol.asyncDispose],
      };
    },
    held: async () => {
      const { channels } = await exit.api.call("channels", {}, AbortSignal.timeout(openMs));
      return new Map(
        channels.flatMap(({ role, channel, signer, cumulative }) =>
          role === "provider" ? [[channel, { signer, cumulative }] as const] : [],
        ),
      );
    },
    size: async () => {
      rmSync(weight, { force: true });
      process.kill(pid, "SIGUSR2");
      await until(() => existsSync(weight), 60_000);
      return {
        mib: Number(readFileSync(weight, "utf8")) / 2 ** 20,
        rssMib: Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024,
        handles: readdirSync(`/proc/${pid}/fd`).length,
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A node that people run, which downloads a little again and again, from now on until the end. */
export async function keepUsing(
  { market }: LiveDoor,
  pauseMs: number,
): Promise<{ end(): Promise<{ downloads: number; problems: string[] }> }> {
  const payer = market.payers[0] as Part;
  const bytes = 256 * 1024;
  let connection = await connectSoon(market, payer);
  const problems: string[] = [];
  let downloads = 0;
  let over = false;
  const using = (async () => {
    while (!over && problems.length === 0) {
      const came = await download(market, connection, BigInt(bytes), AbortSignal.timeout(30_000)).over;
      if (came === bytes) downloads += 1;
      // a machine that is too busy loses connections
      else if (!(await sessionNow(payer)))
        await connectSoon(market, payer).then(
          (again) => {
            connection = again;
          },
          (error) => problems.push(`an honest node cannot connect any more: ${(error as Error).message}`),
        );
      await systemClock.sleep(pauseMs);
    }
  })();
  return {
    end: async () => {
      over = true;
      await using;
      await payer.api.call("disconnect").catch(() => undefined);
      return { downloads, problems };
    },
  };
}

/** What is over is let go of some ten seconds later, and its memory when somebody gets round to it. */
export const calm = (door: LiveDoor, most: Pick<Size, "mib" | "handles">): Promise<unknown> =>
  until(async () => {
    const { mib, handles } = await door.size();
    return mib <= most.mib && handles <= most.handles;
  }, 60_000);

/** What people run, and what it holds on to can be asked for. */
function weighed(into: string): string[] {
  const [node = "", ...rest] = ownProgram;
  const weighing = new URL("./weighing.ts", import.meta.url);
  weighing.search = encodeURIComponent(into);
  return [node, "--expose-gc", "--import", weighing.href, ...rest];
}
