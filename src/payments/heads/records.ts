import { z } from "zod";
import { fixedBytes, wireUint } from "../../lib/codec.ts";
import { wireHash, wirePromise } from "../promise.ts";
import { record } from "../records.ts";
import { type Head, maxChannels } from "./evidence.ts";

const amount = wireUint(96);
const block = z.int().min(0);
const cleared = z.strictObject({ channel: wireHash, cumulative: amount, total: amount, seq: wireUint(64), block });
const anyHead = z.strictObject({ ...wirePromise.shape, signature: fixedBytes(64).optional(), block: block.optional() });

/** What is kept of one channel of a signer. */
export const channelHeadsRecord = record({ seen: wirePromise.optional(), cleared: cleared.optional(), heardMs: block }, 1_000);

/** What is kept of a signer beside its channels. The evidence takes a head of each channel at most, and one more. */
export const signerHeadsRecord = record(
  {
    newest: anyHead.optional(),
    total: amount,
    crowded: z.boolean(),
    evidence: z
      .array(anyHead)
      .max(maxChannels + 2)
      .optional(),
    sinceMs: block.optional(),
  },
  100_000,
);

/** A depositor as the contract's events tell of it: `block` of its first deposit, `lastBlock` of the last event that was taken in. */
export const depositorRecord = record({ block, lastBlock: block, bond: amount, closing: z.boolean() }, 200);

/** What one of our own channels was last told to hold. */
export const toldRecord = record({ cumulative: amount, atMs: block }, 100);

/** A stored head with exactly one of what makes it certain; undefined for what is none. */
export function headOf({ signature, block: at, ...content }: z.output<typeof anyHead>): Head | undefined {
  if (signature) return { ...content, signature: Uint8Array.from(signature) };
  return at === undefined ? undefined : { ...content, block: at };
}
