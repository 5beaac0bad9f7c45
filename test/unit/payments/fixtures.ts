import { createIdentity, type Identity } from "../../../src/identity/identity.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Op, Table } from "../../../src/lib/store.ts";
import { clearingDomain } from "../../../src/payments/eip712.ts";
import { channelId } from "../../../src/payments/promise.ts";
import type { AccountView } from "../../../src/payments/settlement.ts";

export const domain = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });
export const payer: Identity = createIdentity(new Uint8Array(32).fill(1));
export const provider: Identity = createIdentity(new Uint8Array(32).fill(2));
export const salt = new Uint8Array(12).fill(3);
export const channel = channelId(provider.address, salt);
export const nowMs = 1_700_000_000_000;

export const account = (changes: Partial<AccountView> = {}): AccountView => ({
  balance: 1_000_000n,
  line: 1_000_000n,
  bond: 800_000n,
  closeAtMs: undefined,
  owner: payer.address,
  readAtMs: nowMs,
  ...changes,
});

/** A clock that stands where it is put; sleeping ends with the event loop's turn. */
export const clockAt = (ms = nowMs): Clock & { ms: number } => ({
  ms,
  nowMs() {
    return this.ms;
  },
  sleep: (_, signal) => new Promise((resolve, reject) => setImmediate(() => (signal?.aborted ? reject(signal.reason) : resolve()))),
});

/** What a test does with a write: perform it, fail before it or after it. */
export type Fate = "done" | "lost" | "doneThenCrash";

/** A store in memory. `disk` is what a new process finds. `fate` is asked before each write. */
export function memoryStore(disk: Map<string, Uint8Array> = new Map(), fate: (ops: Op[]) => Fate | Promise<Fate> = () => "done") {
  const table = (name: string): Table => ({
    get: async (key) => disk.get(`${name}/${key}`),
    async *entries(prefix = "") {
      const from = `${name}/${prefix}`;
      for (const key of [...disk.keys()].filter((each) => each.startsWith(from)).sort())
        yield [key.slice(name.length + 1), disk.get(key) as Uint8Array];
    },
    put: (key, value) => ({ type: "put", key: `${name}/${key}`, value }),
    del: (key) => ({ type: "del", key: `${name}/${key}` }),
  });
  const write = async (ops: Op[]) => {
    const decided = await fate(ops);
    if (decided === "lost") throw new Error("the disk took nothing");
    for (const op of ops) {
      if (op.type === "put") disk.set(op.key, op.value);
      else disk.delete(op.key);
    }
    if (decided === "doneThenCrash") throw new Error("crashed after the write");
  };
  return { table, write, disk };
}
