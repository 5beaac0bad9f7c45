import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { basename } from "node:path";
import { Reader, type Response } from "mmdb-lib";
import { z } from "zod";
import { isCountry } from "../lib/countries.ts";
import { MystError } from "../lib/errors.ts";
import type { Located } from "./evidence.ts";

/** Databases of addresses, as their makers give them out (.mmdb). What they do not know they say nothing of. */
export type Databases = {
  /** their files' names */
  names: string[];
  /** where each of those that know this address has it */
  locate(address: string): Located[];
  /** the network that announces this address, by the first that knows */
  asnOf(address: string): number | undefined;
};

export const noDatabases: Databases = { names: [], locate: () => [], asnOf: () => undefined };

/** What a record says, whoever made it; what is registered elsewhere than used counts by its use. */
const code = z.string().refine(isCountry);
const countrySchema = z.union([
  z.object({ country: z.object({ iso_code: code }) }).transform(({ country }) => country.iso_code),
  z.object({ country_code: code }).transform(({ country_code }) => country_code),
  z.object({ country: code }).transform(({ country }) => country),
]);
const number = z.number().int().min(1).max(4_294_967_295);
const asnSchema = z.union([
  z.object({ autonomous_system_number: number }).transform(({ autonomous_system_number }) => autonomous_system_number),
  z.object({ asn: z.string().regex(/^AS\d{1,10}$/) }).transform(({ asn }) => Number(asn.slice(2))),
]);

type Database = { name: string; countryOf(address: string): string | undefined; asnOf(address: string): number | undefined };

const example = "name one such as GeoLite2-Country.mmdb or dbip-country-lite.mmdb";
/** of every 256th of all addresses one, to see what a database is about */
const probes = Array.from({ length: 223 }, (_, first) => `${first + 1}.${first % 200}.16.1`);
const gzip = Buffer.of(0x1f, 0x8b);

/**
 * Reads databases, whole, into memory.
 * @throws GEOIP_UNUSABLE for a file that cannot be read, is none, or says nothing of countries or networks
 */
export async function openDatabases(files: readonly string[]): Promise<Databases> {
  if (files.length === 0) return noDatabases;
  const all = await Promise.all(files.map(openDatabase));
  return {
    names: all.map(({ name }) => name),
    locate: (address) =>
      all.flatMap(({ name, countryOf }) => {
        const country = countryOf(address);
        return country === undefined ? [] : [{ database: name, address, country }];
      }),
    asnOf: (address) => {
      for (const { asnOf } of all) {
        const asn = asnOf(address);
        if (asn !== undefined) return asn;
      }
      return undefined;
    },
  };
}

async function openDatabase(file: string): Promise<Database> {
  const unusable = (why: string, hint: string, cause?: unknown) =>
    new MystError("GEOIP_UNUSABLE", `--geoip-db ${file}: ${why}`, { hint, ...(cause !== undefined && { cause }) });
  const bytes = await readFile(file).catch((cause: { code?: string }) => {
    if (cause.code === "ENOENT") throw unusable("there is no such file", `check the path; ${example}`, cause);
    throw unusable("it cannot be read", "check that it is a file, and that the node's user may read it", cause);
  });
  if (bytes.subarray(0, 2).equals(gzip)) throw unusable("it is compressed", "unpack it first, with 'gunzip' or 'tar -xzf'");
  let reader: Reader<Response>;
  try {
    reader = new Reader<Response>(bytes);
    if (reader.metadata.searchTreeSize >= bytes.length) throw new Error("its tree is longer than the file");
  } catch (cause) {
    throw unusable("it is no whole .mmdb database", `download it again, or ${example}`, cause);
  }
  const { ipVersion, databaseType } = reader.metadata;
  const recordOf = (address: string): unknown => {
    // a tree of IPv4 would take the beginning of an IPv6 address for one of its own
    if (isIPv6(address) && ipVersion === 4) return undefined;
    try {
      return reader.get(address) ?? undefined;
    } catch {
      return undefined;
    }
  };
  const countryOf = (address: string) => countrySchema.safeParse(recordOf(address)).data;
  const asnOf = (address: string) => asnSchema.safeParse(recordOf(address)).data;
  const found = probes.filter((address) => recordOf(address) !== undefined);
  if (found.length > 0 && !found.some((address) => countryOf(address) !== undefined || asnOf(address) !== undefined))
    throw unusable(`it says nothing of countries or networks (it is of type '${String(databaseType).slice(0, 40)}')`, example);
  return { name: basename(file), countryOf, asnOf };
}
