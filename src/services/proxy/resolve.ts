import { Resolver } from "node:dns/promises";
import { isAddress } from "../policy.ts";

/** All addresses of a name, best first; empty when it has none. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<string[]>;

const dnsTimeoutMs = 2_000;

/** A host name as DNS has it (underscores included), at most 253 characters; a dot at the end is allowed. */
export const isName = (text: string): boolean =>
  text.length <= 253 && /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i.test(text);

/**
 * Asks the machine's name servers, or others. Not `dns.lookup`: that takes a thread of the pool which the database writes with, for as
 * long as a far-away name server chooses, and it searches the operator's own domains.
 */
export const createResolve =
  (servers?: string[]): Resolve =>
  async (name, signal) => {
    if (/^(?:.+\.)?localhost\.?$/i.test(name)) return ["127.0.0.1", "::1"];
    const resolver = new Resolver({ timeout: dnsTimeoutMs, tries: 2 });
    if (servers) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
      const found = (outcome: PromiseSettledResult<string[]>) => (outcome.status === "fulfilled" ? outcome.value : []);
      return interleave(found(v6), found(v4));
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  };

/** Both families by turns, so that one that leads nowhere costs one attempt only. */
const interleave = (a: string[], b: string[]): string[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => [a[i], b[i]])
    .flat()
    .filter((address) => address !== undefined);

/** What a consumer asked for, as addresses: one that is given as an address stands for itself. */
export const addressesOf = async (host: string, resolve: Resolve, signal: AbortSignal): Promise<string[]> => {
  if (isAddress(host)) return [host];
  return isName(host) ? resolve(host, signal) : [];
};
