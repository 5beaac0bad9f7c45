import type { PeerStats } from "../types.ts";

/** Bytes of one peer over the lives of its device: WireGuard begins anew when a peer is added again, what we sell by does not. */
export type Account = { total: PeerStats; last: { rxBytes: bigint; txBytes: bigint } };

const nothing = { rxBytes: 0n, txBytes: 0n };
export const newAccount: Account = { total: { ...nothing, handshakeMs: 0 }, last: nothing };

/** With what the device says now. A counter below the last one has begun anew: all of it is new. */
export function counted({ total, last }: Account, { rxBytes, txBytes, handshakeMs }: PeerStats): Account {
  const since = (now: bigint, before: bigint) => (now >= before ? now - before : now);
  return {
    total: {
      rxBytes: total.rxBytes + since(rxBytes, last.rxBytes),
      txBytes: total.txBytes + since(txBytes, last.txBytes),
      handshakeMs: Math.max(total.handshakeMs, handshakeMs),
    },
    last: { rxBytes, txBytes },
  };
}

/** The device is a new one: also a counter above the last one has begun anew. */
export const restarted = ({ total }: Account): Account => ({ total, last: nothing });

export const bytesOf = ({ total }: Account): bigint => total.rxBytes + total.txBytes;
