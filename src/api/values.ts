import { z } from "zod";
import type { Hex } from "../lib/codec.ts";

/**
 * What goes over the socket, both ways: amounts and byte counts are decimal strings there and bigint on either side. Unknown
 * members of an answer are dropped, so that an older client can read a newer node.
 */
export const decimal = z.codec(z.string().regex(/^\d{1,78}$/, "expected base units as a decimal string"), z.bigint(), {
  decode: BigInt,
  encode: String,
});
export const hex = z.custom<Hex>((value) => /^0x[0-9a-f]*$/.test(String(value)), "expected lower-case hex");
export const backend = z.enum(["kernel", "wireguard-go", "wireguard-go-wg", "fake"]);
export const endpoint = z.record(z.string(), z.string());
export const ports = z.array(z.number().int().min(0).max(65_535)).max(100);

/** Keeps a schema and the type it stands for in step: the compiler refuses a member that only one of them has. */
export const as =
  <T>() =>
  <S extends z.ZodType<T>>(schema: keyof T extends keyof z.output<S> ? S : never): S =>
    schema;
