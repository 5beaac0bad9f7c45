import { Worker } from "node:worker_threads";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { ClearingDomain } from "./eip712.ts";
import type { SignedPromise } from "./promise.ts";
import { packChecks, signersIn, unpackSigners } from "./signers-batch.ts";

/** Who signed each promise, in their order; undefined for what is no signature at all. */
export type FindSigners = (promises: SignedPromise[]) => Promise<(Hex | undefined)[]>;

/** A thread that is woken for a handful costs more than it saves; so many block the event loop for about a millisecond. */
export const inlineAtMost = 8;
/** Between so many that have to be checked on the event loop all the same, everything else gets its turn. */
const slice = 2 * inlineAtMost;
/** A thread that has died so often is not started again. */
const mostCrashes = 3;

/** Checks on the event loop, in slices. */
export const findSignersInline =
  (domain: ClearingDomain): FindSigners =>
  async (promises) => {
    const found: (Hex | undefined)[] = [];
    for (let from = 0; from < promises.length; from += slice) {
      if (from > 0) await new Promise((resolve) => setImmediate(resolve));
      const packed = packChecks(promises.slice(from, from + slice));
      found.push(...unpackSigners(signersIn(domain.separator, packed)));
    }
    return found;
  };

const threadProgram = new URL(import.meta.url.endsWith(".ts") ? "./signers-thread.ts" : "./signers-thread.js", import.meta.url);

type Job = { resolve(signers: Uint8Array): void; reject(error: unknown): void };
type Thread = { run(packed: Uint8Array): Promise<Uint8Array>; end(): Promise<unknown> };

/**
 * Checks bursts on a thread of its own, which starts with the first of them and keeps no process alive; a few promises are checked on the
 * event loop at once. What a thread leaves undone when it dies is checked on the event loop, so nothing is lost, accepted or refused by it.
 */
export function createSigners(
  domain: ClearingDomain,
  log: Logger,
  program = threadProgram,
): AsyncDisposable & { find: FindSigners; end(): Promise<void> } {
  const inline = findSignersInline(domain);
  let thread: Thread | undefined;
  let crashes = 0;
  let closed = false;

  const find: FindSigners = async (promises) => {
    if (promises.length <= inlineAtMost || crashes >= mostCrashes || closed) return inline(promises);
    thread ??= startThread(domain, program);
    const used = thread;
    try {
      return unpackSigners(await used.run(packChecks(promises)));
    } catch (error) {
      if (thread === used && !closed) {
        thread = undefined;
        crashes += 1;
        log.warn("the thread that checks signatures has died", { crashes, message: asMystError(error).message });
      }
      return inline(promises);
    }
  };
  const end = async () => {
    closed = true;
    await thread?.end();
  };
  return { find, end, [Symbol.asyncDispose]: end };
}

function startThread(domain: ClearingDomain, program: URL): Thread {
  const worker = new Worker(program, { workerData: domain.separator });
  const jobs: Job[] = [];
  let failure: Error | undefined;
  const fail = (error: Error) => {
    failure ??= error;
    for (const job of jobs.splice(0)) job.reject(failure);
  };
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error("the thread has ended")));
  worker.on("message", (signers: Uint8Array) => {
    jobs.shift()?.resolve(signers);
    if (jobs.length === 0) worker.unref();
  });
  return {
    run: (packed) =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure);
        jobs.push({ resolve, reject });
        worker.ref();
        worker.postMessage(packed, [packed.buffer as ArrayBuffer]);
      }),
    end: () => worker.terminate(),
  };
}
