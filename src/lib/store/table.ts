import type { Op } from "./contents.ts";
import { storeError } from "./errors.ts";
import type { Database } from "./standing.ts";

/** A named part of the store. Keys are strings that sort as text; values are bytes. */
export type Table = {
  /** @throws STORE_CORRUPT */
  get(key: string): Promise<Uint8Array | undefined>;
  /** entries whose key begins with `prefix`, in key order @throws STORE_CORRUPT */
  entries(prefix?: string): AsyncIterable<[key: string, value: Uint8Array]>;
  put(key: string, value: Uint8Array): Op;
  del(key: string): Op;
};

export function tableIn(level: Database, dataDir: string, name: string): Table {
  const prefix = `${name}/`;
  return {
    get: (key) =>
      level.get(prefix + key).catch((cause) => {
        throw storeError(dataDir, cause);
      }),
    async *entries(within = "") {
      const from = prefix + within;
      const found = level.iterator({ gte: from, lt: `${from}\uffff` });
      try {
        for await (const [key, value] of found) yield [key.slice(prefix.length), value];
      } catch (cause) {
        throw storeError(dataDir, cause);
      }
    },
    put: (key, value) => ({ type: "put", key: prefix + key, value }),
    del: (key) => ({ type: "del", key: prefix + key }),
  };
}
