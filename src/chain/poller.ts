import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec, type Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Op, Store, Table } from "../lib/store.ts";
import type { ChainEvent, EventSource } from "./chain.ts";
import { type BlockRef, extendTrail, pollStep, type Trail } from "./poller-step.ts";

/** What a round has found. First forget what came from blocks above `rolledBackTo`, then take in the events. */
export type PolledBatch = {
  rolledBackTo: number | undefined;
  /** in the order of the chain */
  events: ChainEvent[];
  /** everything up to this block is known now; undefined when the batch only undoes */
  upTo: number | undefined;
};

export type PollerDeps = {
  source: EventSource;
  /** where the cursor is kept */
  table: Table;
  write: Store["write"];
  log: Logger;
  clock: Clock;
};

export type PollerOptions = {
  /** of the contract's deployment */
  startBlock: number;
  /** default 5 s */
  everyMs?: number;
  /** blocks asked for at once; default 2,000, which public RPCs allow */
  maxBlocks?: number;
  /**
   * Turns what was found into writes, which go to disk in one batch with the cursor: after a crash a batch is known wholly or
   * comes again. It must not remember anything by itself before that.
   */
  apply(batch: PolledBatch): Op[] | Promise<Op[]>;
};

export type Poller = AsyncDisposable & {
  /** Reads up to the newest final block now. @throws RPC_UNREACHABLE */
  poll(): Promise<void>;
  stop(): Promise<void>;
};

const key = "trail";
const hash = z.custom<Hex>((value) => typeof value === "string" && /^0x[0-9a-f]{64}$/.test(value));
const trailCodec = cborCodec(z.array(z.strictObject({ number: z.number().int().nonnegative(), hash })), 16_384);

/**
 * Follows a contract's events by block number and hash, so that nothing is lost or counted twice, be it by a restart or a reorg.
 * Polls at once and then again and again until stopped.
 */
export function createPoller({ source, table, write, log, clock }: PollerDeps, options: PollerOptions): Poller {
  const { startBlock, everyMs = 5_000, maxBlocks = 2_000, apply } = options;
  let busy: Promise<void> = Promise.resolve();
  let stopped = false;

  /** One batch; whether there may be more. */
  const round = async (): Promise<boolean> => {
    const trail = await load(table);
    const head = await source.head();
    const hashes = await hashesAt(source, trail);
    const step = pollStep(trail, { head, hashes }, { startBlock, maxBlocks });
    const { rolledBackTo, read } = step;
    if (rolledBackTo !== undefined) log.warn("the chain was reorganised", { rolledBackTo });
    const found = read && (await readBlocks(source, read.from, read.to));
    if (found === undefined && rolledBackTo === undefined) return false;
    const next = found ? extendTrail(step.trail, found.block) : step.trail;
    const ops = await apply({ rolledBackTo, events: found?.events ?? [], upTo: found?.block.number });
    await write([...ops, table.put(key, trailCodec.encode([...next]))]);
    return found !== undefined && found.block.number < head.number;
  };
  const catchUp = async () => {
    while (!stopped && (await round()));
  };
  const poll = () => {
    const done = busy.then(catchUp);
    busy = done.catch(() => undefined);
    return done;
  };

  const loop = every(clock, everyMs, poll, (error) =>
    log.warn("events could not be read", { code: asMystError(error).code, message: asMystError(error).message }),
  );
  const stop = async () => {
    stopped = true;
    await loop.stop();
    await busy;
  };
  return { poll, stop, [Symbol.asyncDispose]: stop };
}

async function load(table: Table): Promise<Trail> {
  const bytes = await table.get(key);
  return bytes ? trailCodec.decode(Uint8Array.from(bytes)) : [];
}

/** What the chain has at the blocks of a trail. A block stands for all before it: most often one question is enough. */
async function hashesAt(source: EventSource, trail: Trail): Promise<(Hex | undefined)[]> {
  const cursor = trail.at(-1);
  if (cursor && (await source.blockHash(cursor.number)) === cursor.hash) return trail.map(({ hash }) => hash);
  return Promise.all(trail.map(({ number }) => source.blockHash(number)));
}

/** The events of these blocks; undefined when the chain changed while they were read. A block's hash stands for all before it. */
async function readBlocks(source: EventSource, from: number, to: number): Promise<{ block: BlockRef; events: ChainEvent[] } | undefined> {
  const before = await source.blockHash(to);
  const events = await source.events(from, to);
  const after = await source.blockHash(to);
  return before !== undefined && before === after ? { block: { number: to, hash: before }, events } : undefined;
}
