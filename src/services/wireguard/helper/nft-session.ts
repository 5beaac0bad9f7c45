import { MystError } from "../../../lib/errors.ts";
import { createToolSession } from "../backend/tool-session.ts";

/** What a quota has counted so far, in bytes, and its limit. */
export type Quota = { used: bigint; limit: bigint };

/** The quotas of one nft table, through one `nft` that stays: a change takes a line of text instead of a process. */
export type NftSession = {
  /**
   * New limits for existing quotas, which keep what they have counted. Resolves with how each stands from then on. A quota counts what it drops,
   * too, but the kernel tells no more than the limit (`nft_quota_do_dump`): where the two are equal, what it has counted is not known.
   */
  limit(limits: Map<string, bigint>): Promise<Map<string, Quota>>;
  /** Lets nothing pass any more, and forgets what was counted. */
  empty(names: string[]): Promise<void>;
  close(): void;
};

const perLine = 100;
/** Told in the largest unit that leaves no fraction. */
const units: Record<string, bigint> = { bytes: 1n, kbytes: 1n << 10n, mbytes: 1n << 20n, gbytes: 1n << 30n };
/** One quota, as an echo ("add quota inet t q { over 5 kbytes used 7 bytes }") and as a listing over several lines. */
const quotaText = /quota (?:inet \S+ )?(\S+) \{\s*over (\d+) (\w+)(?: used (\d+) (\w+))?\s*\}/g;

/**
 * It answers in nft's own words, not in JSON, which takes it four times as long; and what it is told to change it echoes as the kernel has
 * taken it.
 */
export function createNftSession(table: string): NftSession {
  const nft = createToolSession("nft", ["-e", "-i"]);
  const ask = async (lines: string[], quotas: number): Promise<Map<string, Quota>> =>
    quotasIn(await nft.ask(lines, (printed) => quotasIn(printed).size >= quotas));
  const name = (quota: string) => `quota inet ${table} ${quota}`;
  const limit = async (limits: Map<string, bigint>): Promise<Map<string, Quota>> => {
    if (limits.size === 0) return new Map();
    // as few lines as may be: each is a transaction
    const lines = inGroups([...limits]).map((group) =>
      group.map(([quota, bytes]) => `add ${name(quota)} { over ${bytes} bytes; }`).join("; "),
    );
    const told = await ask(lines, limits.size);
    for (const [quota, bytes] of limits)
      if (told.get(quota)?.limit !== bytes) throw new MystError("INTERNAL", "nft did not take a new limit");
    return told;
  };

  return {
    limit,
    empty: async (names) => {
      if (names.length === 0) return;
      // closed first: an old limit on a quota that has counted nothing would be that much for free
      await limit(new Map(names.map((quota) => [quota, 0n])));
      await ask(
        names.map((quota) => `reset ${name(quota)}`),
        names.length,
      );
    },
    close: nft.close,
  };
}

const quotasIn = (printed: string): Map<string, Quota> =>
  new Map(
    [...printed.matchAll(quotaText)].map(([, name = "", limit = "", limitUnit, used = "0", usedUnit = "bytes"]) => [
      name,
      { limit: inBytes(limit, limitUnit), used: inBytes(used, usedUnit) },
    ]),
  );

/** @returns -1, which no limit is, for a unit that is not known */
const inBytes = (count: string, unit = ""): bigint => BigInt(count) * (units[unit] ?? -1n);

const inGroups = <T>(list: T[]): T[][] =>
  Array.from({ length: Math.ceil(list.length / perLine) }, (_, i) => list.slice(i * perLine, (i + 1) * perLine));
