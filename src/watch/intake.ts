import { peerAddress } from "../identity/peer.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";
import { checkSigner } from "../payments/check.ts";
import { closeDelayMs } from "../payments/clearing-policy.ts";
import type { ClearingDomain } from "../payments/eip712.ts";
import { channelId, promiseSigner } from "../payments/promise.ts";
import { keyOf } from "../payments/provider-ledger.ts";
import type { AccountView, ClearingForOthers } from "../payments/settlement.ts";
import { type Held, makeRoom, type Room } from "./policy.ts";
import {
  type HandedCheck,
  type HandedOutcome,
  maxWatchAnswer,
  maxWatchQuestion,
  watchAnswerCodec,
  watchProtocol,
  watchQuestionCodec,
} from "./protocol.ts";
import type { Rows, WatchedChannel } from "./rows.ts";

export type WatchIntakeDeps = {
  network: Pick<Network, "answer">;
  chain: Pick<ClearingForOthers, "account" | "paid">;
  rows: Rows;
  domain: ClearingDomain;
  minBond: bigint;
  clock: Clock;
  log: Logger;
};
export type WatchIntakeOptions = {
  /** the least that a check has to promise */
  feeBps: number;
  room?: Room;
};

export const defaultRoom: Room = { all: 8_192, perProvider: 256, perSigner: 256 };
const dayMs = 86_400_000;
/** A check is worth keeping while there is time for a close to be seen and cleared, and a turn of each watcher. */
export const leastLifeMs = closeDelayMs + dayMs;
export const mostLifeMs = 100 * dayMs;
/** checks of one peer; each costs two recoveries of a signature */
const checkQuota = { burst: 64, perSecond: 1 };
/** payers and channels that are not known yet cost an RPC two calls each: those of one peer, and of all */
const readQuota = { burst: 32, perSecond: 0.2 };
const readQuotaOfAll = { burst: 128, perSecond: 4 };

/** Takes checks from their providers, the cheapest test first. What it says is kept is on disk. */
export async function takeChecks(
  deps: WatchIntakeDeps,
  { feeBps, room = defaultRoom }: WatchIntakeOptions,
): Promise<{
  /** An account has changed on chain: if it is just being read, it is read again. */
  changed(signer: Hex): void;
}> {
  const { network, chain, rows, domain, minBond, clock, log } = deps;
  const checks = createQuota(clock, checkQuota);
  const reads = createQuota(clock, readQuota);
  const readsOfAll = createQuota(clock, readQuotaOfAll);
  const reading = new Map<Hex, { changed: boolean }>();

  const knownOutcome = (offered: HandedCheck): HandedOutcome | undefined => {
    const held = rows.channel({ signer: offered.signer, channel: offered.promise.channel });
    if (!held) return undefined;
    const { cumulative } = offered.promise;
    if (cumulative < held.cumulative || cumulative <= held.paid) return "old";
    return cumulative === held.cumulative && offered.check.deadline <= held.check.deadline ? "kept" : undefined;
  };
  const judgeForm = ({ salt, promise, check }: HandedCheck, provider: Hex): HandedOutcome | undefined => {
    if (check.feeBps < feeBps) return "fee";
    const lifeMs = Number(check.deadline) * 1000 - clock.nowMs();
    if (lifeMs < leastLifeMs || lifeMs > mostLifeMs) return "deadline";
    // the contract skips a check to itself or to nobody
    if (check.to === domain.contract || /^0x0*$/.test(check.to)) return "invalid";
    return promise.channel === channelId(provider, salt) ? undefined : "invalid";
  };
  const judgeAccount = ({ promise }: HandedCheck, { line, balance, bond }: AccountView): HandedOutcome | undefined =>
    balance === 0n || bond < minBond || promise.total > line ? "account" : undefined;
  const isSigned = ({ signer, promise, check }: HandedCheck, provider: Hex): boolean => {
    try {
      return checkSigner(domain, promise, check) === provider && promiseSigner(domain, promise) === signer;
    } catch {
      return false;
    }
  };

  /** A payer's account as it is now, also when it changes meanwhile; reading it is what an event of it waits for. */
  const readAccount = async (signer: Hex): Promise<AccountView> => {
    const mark = { changed: true };
    reading.set(signer, mark);
    try {
      for (;;) {
        mark.changed = false;
        const view = await chain.account(signer);
        if (!mark.changed) return view;
      }
    } finally {
      if (reading.get(signer) === mark) reading.delete(signer);
    }
  };
  const mayRead = (peer: string) => readsOfAll.has("") && reads.take(peer) && readsOfAll.take("");

  const take = async (offered: HandedCheck, peer: string, provider: Hex): Promise<HandedOutcome> => {
    const { signer, salt, place, promise, check } = offered;
    if (!checks.take(peer)) return "later";
    const ref = { signer, channel: promise.channel };
    const known = rows.account(signer);
    const early = judgeForm(offered, provider) ?? knownOutcome(offered) ?? (known && judgeAccount(offered, known));
    if (early) return early;
    if (!isSigned(offered, provider)) return "invalid";
    const held = rows.channel(ref);
    if ((!held || !known) && !mayRead(peer)) return "later";
    const [view, paid] = await Promise.all([known ?? readAccount(signer), held?.paid ?? chain.paid(signer, ref.channel)]);
    const late = judgeAccount(offered, view) ?? (promise.cumulative <= paid ? "old" : undefined);
    if (late) return late;
    let outcome: HandedOutcome = "kept";
    // others were taken meanwhile, so what depends on them is judged in one go with the taking
    await rows.change(() => {
      const beaten = knownOutcome(offered);
      const before = rows.channel(ref);
      const row: WatchedChannel = {
        ...{ ...ref, salt, peer, place, best: promise, cumulative: promise.cumulative, check: { ...check, provider } },
        paid: before && before.paid > paid ? before.paid : paid,
        takenMs: before?.takenMs ?? clock.nowMs(),
      };
      const balanceOf = (of: Hex) => (of === signer ? view : rows.account(of))?.balance ?? 0n;
      const drop = beaten ? undefined : makeRoom(heldOf(row), rows.all().map(heldOf), balanceOf, room);
      outcome = beaten ?? (drop ? "kept" : "full");
      return drop && { keep: row, drop, ...(!rows.account(signer) && { view }) };
    });
    return outcome;
  };

  await network.answer(watchProtocol, { maxQuestion: maxWatchQuestion, maxAnswer: maxWatchAnswer }, async (bytes, peer) => {
    const question = watchQuestionCodec.decode(bytes);
    const provider = peerAddress(peer);
    const outcomes: HandedOutcome[] = [];
    for (const offered of question.checks)
      outcomes.push(
        await take(offered, peer, provider).catch((error) => {
          log.debug("a check could not be taken", { peer, code: asMystError(error).code });
          return "later" as const;
        }),
      );
    return watchAnswerCodec.encode({ outcomes });
  });

  return {
    changed: (signer) => {
      const mark = reading.get(signer);
      if (mark) mark.changed = true;
    },
  };
}

export const heldOf = (row: WatchedChannel): Held => ({
  ...{ key: keyOf(row), signer: row.signer, provider: row.check.provider, takenMs: row.takenMs },
  unsettled: row.cumulative - row.paid,
});
