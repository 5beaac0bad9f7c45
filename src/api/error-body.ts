import type { MystError } from "../lib/errors.ts";

const plain = (meta: MystError["meta"]) =>
  Object.fromEntries(Object.entries(meta).map(([name, value]) => [name, typeof value === "bigint" ? value.toString() : value]));

/** An error as programs see it, over the socket and on standard output alike. */
export const errorBody = (error: MystError) => ({
  v: 1,
  error: {
    code: error.code,
    message: error.message,
    ...(error.hint !== undefined && { hint: error.hint }),
    ...(Object.keys(error.meta).length > 0 && { meta: plain(error.meta) }),
  },
});
