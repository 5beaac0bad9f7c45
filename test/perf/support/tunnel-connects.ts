import { fileURLToPath } from "node:url";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import type { Host } from "../../tunnel/support/internet.ts";
import { openTunnelMarket } from "../../tunnel/support/market.ts";
import { startTold } from "../../tunnel/support/told.ts";
import { openHandExit } from "./by-hand.ts";
import type { WarmDone, WarmTask } from "./warm.ts";

const program = fileURLToPath(new URL("./warm.ts", import.meta.url));

async function startWarm(host: Host): Promise<Disposable & { ask(task: WarmTask): Promise<WarmDone> }> {
  const warm = await startTold<WarmTask, WarmDone>(host, program);
  const ask = async (task: WarmTask) => {
    const done = await warm.ask(task);
    if (!done) throw new Error("nothing was measured");
    return done;
  };
  return { ask, [Symbol.dispose]: warm[Symbol.dispose] };
}

export type TunnelConnects = { connects: WarmDone[]; floors: number[] };

/** Connections of a node that runs, in turns with the least that a tunnel takes; to be called inside of namespaces of our own. */
export async function measureTunnelConnects(options: {
  runs: number;
  log(line: string): void;
  signal: AbortSignal;
}): Promise<TunnelConnects> {
  const { runs, log, signal } = options;
  await using market = await openTunnelMarket({ also: ["hand-client", "hand-exit"] });
  const { hosts, target, consumer } = market;
  await market.startExit();
  const keys = makeKeyPair();
  using exit = await openHandExit(hosts.get("hand-exit") as Host, keys);
  using floor = await startWarm(hosts.get("hand-client") as Host);
  using node = await startWarm(consumer.host);
  const page = `http://${target.address}/`;
  await node.ask({ do: "start", ...market.joining });
  await node.ask({ do: "connect", page });
  const found: TunnelConnects = { connects: [], floors: [] };
  const { publicKey, endpoint } = exit;
  for (let i = 0; i < runs && !signal.aborted; i += 1) {
    const hand = { do: "floor" as const, page, privateKey: keys.privateKey, exit: { publicKey, endpoint } };
    found.floors.push((await floor.ask(hand)).firstByte);
    found.connects.push(await node.ask({ do: "connect", page }));
    log(
      `tunnel: ${i + 1} of ${runs}: ${Math.round(found.connects.at(-1)?.firstByte ?? 0)} ms, by hand ${Math.round(found.floors.at(-1) ?? 0)} ms`,
    );
  }
  return found;
}
