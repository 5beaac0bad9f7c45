import { quotaName } from "../plan/credit.ts";
import { type Credit, counterMs } from "../types.ts";
import { type Account, bytesOf } from "./account.ts";
import {
  adjusted,
  type CreditState,
  filled,
  given,
  isLive,
  judgeCredit,
  type Looked,
  raised,
  shut,
  stopped,
  unsure,
  untilLookMs,
} from "./credit.ts";
import type { NftSession, Quota } from "./nft-session.ts";

/** A client as far as its credit goes. */
export type Charged = { address: string; account: Account; credit: CreditState /** at the last look */; looked?: Looked };

export type QuotasDeps = {
  nft: NftSession;
  clients(): Charged[];
  /** Reads WireGuard's counts into the accounts; resolves with the device that it has read. */
  count(): Promise<object>;
  /** monotonic, in ms */
  nowMs(): number;
  /** what was set may not stand; called before it is tried again */
  onFailed(error: unknown): Promise<void>;
};

/** Keeps each client's quota at what its credit leaves: at once when credit comes, and as often as `untilLookMs` says, as long as there are clients. */
export type Quotas = {
  give(client: Charged, credit: Credit): void;
  /** Looks at counts and quotas of all; resolves when all that was given before is set. */
  sync(): Promise<void>;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
  /** There is one more client to look after. */
  watch(): void;
  /** Nothing is set before `resume`; resolves when nothing is under way. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  anyLive(): boolean;
};

export function createQuotas({ nft, clients, count, nowMs, onFailed }: QuotasDeps): Quotas {
  let paused = false;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  /** what is to be done after what is under way */
  let next: "raise" | "look" | undefined;
  let lookedMs = nowMs();
  let nextMs = lookedMs + counterMs;

  /** Sets those that differ, or all; how these stand then. */
  const setLimits = async (states: Map<Charged, CreditState>, all = false): Promise<Map<string, Quota>> => {
    const set = [...states].filter(([{ credit }, { quota }]) => all || credit.quota?.limit !== quota?.limit);
    for (const [client, { changed, quota }] of states) {
      // what was given in the meantime stays to be done
      const { totalBytes, endsAtMs } = client.credit;
      client.credit = { totalBytes, endsAtMs, changed, ...(quota && { quota }) };
    }
    try {
      return await nft.limit(new Map(set.map(([{ address }, { quota }]) => [quotaName(address), quota?.limit ?? 0n])));
    } catch (error) {
      for (const client of states.keys()) client.credit = unsure(client.credit);
      throw error;
    }
  };

  /** More credit for open quotas needs no look: they are set right by the next one. */
  const raise = async () => {
    const more = clients().filter(({ credit }) => credit.quota && credit.quota.totalBytes < credit.totalBytes);
    await setLimits(new Map(more.map((client) => [client, { ...raised(client.credit), changed: false }])));
  };
  const look = async () => {
    lookedMs = nowMs();
    nextMs = lookedMs + counterMs;
    if (clients().length === 0) return;
    const device = await count();
    let soonestMs = Number.POSITIVE_INFINITY;
    const first = new Map<Charged, CreditState>();
    const toSet: Charged[] = [];
    for (const client of clients()) {
      const counted = bytesOf(client.account);
      const verdict = judgeCredit(client.credit, counted, nowMs(), counted === client.looked?.counted);
      const looked = { counted, atMs: lookedMs };
      soonestMs = Math.min(soonestMs, untilLookMs(client.credit, looked, client.looked));
      client.looked = looked;
      if (verdict === "stop") first.set(client, stopped(client.credit));
      if (verdict === "set") toSet.push(client);
    }
    nextMs = lookedMs + soonestMs;
    for (const client of toSet) if (client.credit.quota) first.set(client, raised(client.credit));
    const before = new Map(toSet.map((client) => [client, bytesOf(client.account)]));
    const told = await setLimits(first, true);
    if (toSet.length === 0) return;
    const toldOf = ({ address }: Charged) => told.get(quotaName(address));
    // one that has run dry has counted more than it says; and credit that has fallen is not to be found again in an old limit
    const isOpen = (client: Charged) => {
      const { quota, totalBytes } = client.credit;
      const now = toldOf(client);
      return quota !== undefined && now !== undefined && now.used < now.limit && quota.totalBytes <= totalBytes;
    };
    const empty = toSet.filter((client) => !isOpen(client));
    for (const client of empty) client.credit = shut(client.credit);
    await nft.empty(empty.map(({ address }) => quotaName(address)));
    if ((await count()) !== device) return;
    const second = new Map<Charged, CreditState>();
    for (const client of toSet) {
      const { credit } = client;
      const now = bytesOf(client.account);
      if (judgeCredit({ ...credit, changed: true }, now, nowMs()) !== "set") continue;
      const looked = { used: toldOf(client)?.used ?? 0n, before: before.get(client) ?? 0n, after: now, nowMs: nowMs() };
      second.set(client, credit.quota ? adjusted(credit, credit.quota, looked) : filled(credit, now, nowMs()));
    }
    await setLimits(second);
  };

  /** One at a time; what comes meanwhile is done right after. */
  const work = (what: "raise" | "look"): Promise<void> => {
    if (paused) return Promise.resolve();
    if (next !== "look") next = what;
    working ??= (async () => {
      while (next && !paused) {
        const now = next;
        next = undefined;
        try {
          await (now === "raise" ? raise() : look());
        } catch (error) {
          if (!paused) await onFailed(error);
        }
      }
      working = undefined;
      schedule();
    })();
    return working;
  };
  const schedule = () => {
    clearTimeout(timer);
    const all = clients();
    if (paused || all.length === 0) return;
    const ends = all.filter(({ credit }) => credit.quota).map(({ credit }) => credit.endsAtMs);
    timer = setTimeout(() => void work("look"), Math.max(1, Math.min(nextMs, ...ends) - nowMs()));
  };

  return {
    give: (client, credit) => {
      client.credit = given(client.credit, credit, nowMs());
      const { quota, totalBytes } = client.credit;
      const isMore = quota !== undefined && credit.forMs > 0 && totalBytes >= quota.totalBytes;
      void work(isMore ? "raise" : "look");
    },
    sync: () => work("look"),
    settled: async () => working,
    watch: schedule,
    pause: async () => {
      paused = true;
      clearTimeout(timer);
      await working;
    },
    resume: () => {
      paused = false;
      return work("look");
    },
    anyLive: () => clients().some(({ credit, account }) => isLive(credit, bytesOf(account), nowMs())),
  };
}
