/** What a consumer has used of a session: what it has received, and of what it has sent as much as the exit has carried on. */
export type UsageCount = {
  sent(bytes: number): void;
  received(bytes: number): void;
  /** the exit's total of bytes carried upwards; of no effect beyond what was sent. How many are new. */
  carriedUp(total: bigint): number;
  usedBytes(): bigint;
};

/** `onUsage` is called after a change, at most once per turn of the event loop. */
export function createUsage(onUsage: (usedBytes: bigint) => void): UsageCount {
  let sent = 0;
  let received = 0;
  let up = 0;
  let due = false;
  const usedBytes = () => BigInt(received + up);
  const changed = () => {
    if (due) return;
    due = true;
    setImmediate(() => {
      due = false;
      onUsage(usedBytes());
    });
  };
  return {
    usedBytes,
    sent: (bytes) => {
      sent += bytes;
    },
    received: (bytes) => {
      received += bytes;
      changed();
    },
    carriedUp: (total) => {
      const carried = total > BigInt(sent) ? sent : Number(total);
      const fresh = carried - up;
      if (fresh <= 0) return 0;
      up = carried;
      changed();
      return fresh;
    },
  };
}
