import { z } from "zod";
import { cborCodec, fixedBytes, wireAddress } from "../lib/codec.ts";
import { wireCheck } from "../payments/check.ts";
import { saltBytes, wirePromise } from "../payments/promise.ts";

/**
 * A provider hands the checks of its channels to a peer that watches for others: one question, one answer. The wire form is described
 * in docs/protocol.md; the provider is the peer that asks.
 */
export const watchProtocol = "watch/1.0.0";
/** checks in one question */
export const maxHanded = 16;
/** watchers that one provider hands its checks to; `place` says which of them this one is */
export const maxWatchers = 3;
export const maxWatchQuestion = 8_192;
export const maxWatchAnswer = 512;

const handedCheck = z.strictObject({
  signer: wireAddress,
  salt: fixedBytes(saltBytes),
  place: z
    .int()
    .min(0)
    .max(maxWatchers - 1),
  promise: wirePromise,
  check: wireCheck,
});
/** A promise with its provider's check, for one watcher. */
export type HandedCheck = z.output<typeof handedCheck>;

/**
 * What became of a check. `kept`: it is on the watcher's disk, or one as good is; `old`: as much was cleared, or promised later; `fee`:
 * the watcher asks for more; `deadline`: too near or too far; `account`: the payer's account is none, holds too little, or is empty;
 * `full`: no room for one worth so little; `invalid`: it does not belong to its promise, channel or signers; `later`: cannot be told now.
 */
export const handedOutcomes = ["kept", "old", "fee", "deadline", "account", "full", "invalid", "later"] as const;
export type HandedOutcome = (typeof handedOutcomes)[number];

export const watchQuestionCodec = cborCodec(z.strictObject({ checks: z.array(handedCheck).min(1).max(maxHanded) }), maxWatchQuestion);
/** one outcome for each check, in their order */
export const watchAnswerCodec = cborCodec(z.strictObject({ outcomes: z.array(z.enum(handedOutcomes)).max(maxHanded) }), maxWatchAnswer);
