import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { fixedBytes } from "../../lib/codec.ts";
import { MystError } from "../../lib/errors.ts";
import { createTunnelWaiting } from "../counted-waiting.ts";
import type { Opening, ServiceConsumer, ServiceHandle } from "../service.ts";
import { consumerPatience } from "../unanswered.ts";

/** Where a relay forwards for one session, and the keys that the two ends greet it with. */
export type RelayPort = { port: number; near: Uint8Array; far: Uint8Array };
const connectionSchema = z.strictObject({ port: z.int().min(1).max(65_535), near: fixedBytes(32), far: fixedBytes(32) });

/** of the tunnel that it carries, as this end counts */
export type RelayedCounters = () => { rxBytes: bigint; txBytes: bigint };

const reportMs = 250;

/** The consumer's side of a relay: what it has used are the counters of the tunnel that goes through it. `onOpen`: it is ready to be greeted. */
export function createRelayConsumer(
  { counters, clock }: { counters: RelayedCounters; clock: Pick<Clock, "nowMs"> },
  onOpen: (at: RelayPort) => void,
): ServiceConsumer {
  const open = async ({ connection, onUsage, signal }: Opening): Promise<ServiceHandle> => {
    const read = connectionSchema.safeParse(connection);
    if (!read.success) throw new MystError("MALFORMED", "the relay's answer names no port");
    onOpen(read.data);
    const before = counters();
    const waiting = createTunnelWaiting({ clock }, consumerPatience);
    let last = { received: 0n, used: 0n };
    let closed = false;
    const count = () => {
      if (closed) return last;
      const now = counters();
      const [received, sent] = [now.rxBytes - before.rxBytes, now.txBytes - before.txBytes];
      waiting.look(sent, received);
      last = { received, used: received + sent };
      return last;
    };
    let told = 0n;
    const report = setInterval(() => {
      const { used } = count();
      if (used !== told) onUsage(used);
      told = used;
    }, reportMs);
    const close = async () => {
      clearInterval(report);
      count();
      closed = true;
      return last.used;
    };
    signal.addEventListener("abort", () => void close(), { once: true });
    return {
      usedBytes: () => count().used,
      receivedBytes: () => count().received,
      unanswered: () => {
        count();
        return waiting.read();
      },
      endpoint: { port: String(read.data.port) },
      close,
    };
  };
  return { kind: "relay", check: async () => undefined, open };
}
