/** Hands out transaction numbers so that no two transactions of this process get the same one. */
export type Nonces = {
  /** The next one at or after `pending` (the account's count with what waits in the pool) that nobody holds; held from now on. */
  take(pending: number): number;
  /** Holds one that is known already. */
  hold(nonce: number): void;
  release(nonce: number): void;
};

/**
 * A number is held from the making of its transaction until its fate is known. One that nobody has released after `holdMs` is
 * given up: its transaction was made but never sent, and later ones would wait for it for ever.
 */
export function createNonces(nowMs: () => number, holdMs: number): Nonces {
  const heldUntil = new Map<number, number>();
  const isHeld = (nonce: number) => (heldUntil.get(nonce) ?? 0) > nowMs();
  const hold = (nonce: number) => void heldUntil.set(nonce, nowMs() + holdMs);
  return {
    take: (pending) => {
      for (const nonce of heldUntil.keys()) if (nonce < pending || !isHeld(nonce)) heldUntil.delete(nonce);
      let nonce = pending;
      while (isHeld(nonce)) nonce += 1;
      hold(nonce);
      return nonce;
    },
    hold,
    release: (nonce) => void heldUntil.delete(nonce),
  };
}
