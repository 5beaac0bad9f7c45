import { allBackends } from "../../../src/services/wireguard/backend/choose.ts";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import type { BackendKind, WgBackend } from "../../../src/services/wireguard/types.ts";
import { percentile } from "../../support/report.ts";

/** ms, each the median of `around` of its kind */
export type ManyPeers = { kind: BackendKind; addFirst: number; addLast: number; pollFew: number; pollAll: number };

const many = 1000;
/** of how many additions at either end of the list, and of how many polls, the median is taken */
const around = 20;
const median = (values: number[]) => percentile(values, 0.5);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return performance.now() - beganMs;
}

async function measure(backend: WgBackend): Promise<ManyPeers> {
  const device = await backend.open({ ifname: "many0", privateKey: makeKeyPair().privateKey, mtu: 1280 });
  try {
    const adds: number[] = [];
    const polls = async () => {
      const times: number[] = [];
      for (let i = 0; i < around; i += 1) times.push(await timed(() => device.stats()));
      return median(times);
    };
    let pollFew = 0;
    for (let i = 0; i < many; i += 1) {
      const peer = { publicKey: makeKeyPair().publicKey, allowedIps: [`10.${100 + (i >> 8)}.${i & 255}.2/32`] };
      adds.push(await timed(() => device.addPeer(peer)));
      if (i + 1 === around) pollFew = await polls();
    }
    const pollAll = await polls();
    return { kind: backend.kind, addFirst: median(adds.slice(0, around)), addLast: median(adds.slice(-around)), pollFew, pollAll };
  } finally {
    await device.close();
  }
}

/** What the backends of this machine take for one more peer, and for the counters of all. */
export async function measureManyPeers(log: (line: string) => void): Promise<ManyPeers[]> {
  const found: ManyPeers[] = [];
  for (const backend of allBackends()) {
    const { ok, reason } = await backend.probe();
    if (!ok) {
      log(`${backend.kind}: not here: ${reason}`);
      continue;
    }
    log(`${backend.kind}: ${many} peers`);
    found.push(await measure(backend));
  }
  return found;
}
