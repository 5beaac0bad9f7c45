import type { Table } from "../lib/store.ts";

/** What is kept of a session for people to look at; money is in the ledgers, not here. */
export type SessionRecord = { id: string; startedMs: number; endedMs?: number | undefined };

export type Records<R extends SessionRecord> = {
  /** newest first */
  list(): R[];
  get(id: string): R | undefined;
  save(record: R): Promise<void>;
};

const keep = 1_000;

/**
 * The session records of this node, newest `keep` of them. Those that a crash left without an end are closed with `interrupted`.
 */
export async function openRecords<R extends SessionRecord>(
  store: { table(name: string): Table; writeLazily(ops: ReturnType<Table["put"]>[]): Promise<void> },
  interrupted: (record: R) => R,
): Promise<Records<R>> {
  const table = store.table("session");
  const records = new Map<string, R>();
  for await (const [key, bytes] of table.entries()) {
    const record = decode<R>(bytes);
    records.set(key, record.endedMs === undefined ? interrupted(record) : record);
  }
  const list = () => [...records.values()].sort((a, b) => b.startedMs - a.startedMs);
  return {
    list,
    get: (id) => records.get(id),
    save: async (record) => {
      records.set(record.id, record);
      const old = list().slice(keep);
      for (const { id } of old) records.delete(id);
      await store.writeLazily([table.put(record.id, encode(record)), ...old.map(({ id }) => table.del(id))]);
    },
  };
}

/** JSON with bigints as {"$n": decimal}: our own data on our own disk. */
const encode = (value: unknown): Uint8Array =>
  Uint8Array.from(Buffer.from(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? { $n: v.toString() } : v))));

const decode = <R>(bytes: Uint8Array): R =>
  JSON.parse(Buffer.from(bytes).toString(), (_, v) => (v && typeof v === "object" && typeof v.$n === "string" ? BigInt(v.$n) : v)) as R;
