import { startRig } from "../../../chain/rig.ts";
import { soon, startPeer } from "../../../net/support.ts";
import { ownTmpdir } from "../../../support/own-tmpdir.ts";
import { type Plant, startTarget, type TargetAnswer } from "./target.ts";
import { speakNonsense, speakToSocket } from "./wire.ts";

export type Malformed = {
  /** in all: half of it structured, half random, and a part of that over real connections */
  runs: number;
  plant?: Plant;
  seed: string;
  /** see `Feeding` */
  mostMs: number;
};

export type MalformedFound = {
  tried: Record<string, number>;
  crashes: number;
  /** did not answer, or did not let go of a stream; and a node that answers nobody any more */
  hangs: string[];
  failed: string[];
  /** by heap and by RSS, from after a tenth of the runs to the end */
  growthMb: number;
  rssGrowthMb: number;
};

/** Of all runs so many go over connections, where they cost more. */
const wireShare = 0.02;
const socketShare = 0.02;
const chunk = 2_000;
const warmShare = 0.1;

/** A node that sells, watches and has been paid, which is told what no honest peer or program says. */
export async function runMalformed(
  { runs, plant, seed, mostMs }: Malformed,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<MalformedFound> {
  await using _ = ownTmpdir("malformed");
  await using rig = await startRig();
  await using target = startTarget();
  const { invite, socket } = await target.ask({ type: "start", rpc: rig.rpc, network: rig.network, ...(plant && { plant }) });
  const found: MalformedFound = { tried: {}, crashes: 0, hangs: [], failed: [], growthMb: 0, rssGrowthMb: 0 };
  const add = (more: Record<string, number>) => {
    for (const [name, count] of Object.entries(more)) found.tried[name] = (found.tried[name] ?? 0) + count;
  };
  let warm: TargetAnswer | undefined;
  let last: TargetAnswer | undefined;
  try {
    const wire = Math.ceil(runs * wireShare);
    const sockets = Math.ceil(runs * socketShare);
    const fed = Math.max(2, runs - wire - sockets);
    for (let done = 0; done < fed && !signal.aborted; done += 2 * chunk) {
      for (const kind of ["structured", "random"] as const) {
        const some = Math.min(chunk, Math.ceil((fed - done) / 2));
        last = await target.ask({ type: "feed", kind, mostMs, runs: some, seed: `${seed}/${kind}/${done}` });
        if (done >= fed * warmShare || fed < 2 * chunk) warm ??= last;
      }
      log(`${Math.min(fed, done + 2 * chunk)} of ${runs}, heap ${last?.heapMb.toFixed(1)} MB`);
    }
    if (!plant) {
      const { protocolPrefix } = rig.network;
      const nonsense = await speakNonsense(invite, protocolPrefix, { runs: wire, seed: `${seed}/wire`, signal });
      add(Object.fromEntries(Object.entries(nonsense).map(([name, count]) => [`stream ${name}`, count])));
      add({ socket: await speakToSocket(socket, { runs: sockets, seed: `${seed}/socket`, signal }) });
      await using honest = await startPeer({ protocolPrefix, listen: [], gossip: false, dht: false });
      const peer = invite.replace(/.*\/p2p\//, "");
      const answered = honest.network
        .connect(peer, [invite], soon())
        .then(() => honest.network.ask(peer, "offer/1.0.0", new Uint8Array(), soon()));
      await answered.catch((error) => found.hangs.push(`an honest peer is not answered: ${(error as Error).message}`));
    }
    last = await target.ask({ type: "look" });
  } catch (error) {
    found.crashes += 1;
    log(String(error));
  }
  if (last) {
    add(last.tried);
    found.hangs.push(...last.hung);
    found.failed.push(...last.failed);
    found.growthMb = last.heapMb - (warm ?? last).heapMb;
    found.rssGrowthMb = last.rssMb - (warm ?? last).rssMb;
  }
  return found;
}
