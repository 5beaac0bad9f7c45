/**
 * The gate that all traffic of a session passes, both directions together: it opens as far as was paid for, to the byte.
 * Counts are plain numbers inside (exact up to 2^53, 8 PiB), since they change with every chunk.
 */
export type GateState = {
  /** bytes let through so far */
  used: number;
  /** bytes that may be let through in all */
  allowed: number;
  /** shut: nothing passes, whatever is allowed */
  shut: "no" | "suspended" | "ended";
};

export const newGate: GateState = { used: 0, allowed: 0, shut: "no" };

/** How many of `wanted` bytes may pass now. */
export const passable = (state: GateState, wanted: number): number =>
  state.shut === "no" ? Math.max(0, Math.min(wanted, state.allowed - state.used)) : 0;

/** Allows `total` bytes in all and ends a suspension. What was allowed never falls; an ended gate stays so. */
export const allowing = (state: GateState, total: bigint): GateState =>
  state.shut === "ended" ? state : { ...state, shut: "no", allowed: Math.max(state.allowed, clamp(total)) };

export const suspending = (state: GateState): GateState => (state.shut === "ended" ? state : { ...state, shut: "suspended" });
export const ending = (state: GateState): GateState => ({ ...state, shut: "ended" });

const clamp = (total: bigint): number =>
  total > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : total < 0n ? 0 : Number(total);

export type Gate = {
  /** Takes up to `wanted` bytes off what may pass, and counts them as used. 0: wait for `room`. */
  take(wanted: number): number;
  /** Takes all of `bytes`, or nothing. */
  takeWhole(bytes: number): boolean;
  /** Resolves once something may pass, first come first served; rejects with the signal's reason. */
  room(signal: AbortSignal): Promise<void>;
  usedBytes(): bigint;
  allow(total: bigint): void;
  suspend(): void;
  /** Nothing passes any more; who waits goes on waiting for its signal. */
  end(): void;
};

export function createGate(): Gate {
  let state = newGate;
  const waiting = new Set<() => void>();
  const take = (wanted: number) => {
    const taken = passable(state, wanted);
    if (taken > 0) state = { ...state, used: state.used + taken };
    return taken;
  };
  return {
    take,
    takeWhole: (bytes) => passable(state, bytes) === bytes && take(bytes) === bytes,
    room: (signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        if (passable(state, 1) > 0) return resolve();
        const leave = () => {
          waiting.delete(enter);
          reject(signal.reason);
        };
        const enter = () => {
          waiting.delete(enter);
          signal.removeEventListener("abort", leave);
          resolve();
        };
        waiting.add(enter);
        signal.addEventListener("abort", leave, { once: true });
      }),
    usedBytes: () => BigInt(state.used),
    allow: (total) => {
      state = allowing(state, total);
      if (passable(state, 1) > 0) for (const enter of [...waiting]) enter();
    },
    suspend: () => {
      state = suspending(state);
    },
    end: () => {
      state = ending(state);
    },
  };
}
