import type { Socket } from "node:net";
import type { ByteStream } from "../../network/network.ts";
import type { Unanswered } from "../unanswered.ts";
import type { ExitControl } from "./exit-control.ts";
import { drainSocket, gated, resetSocket, whenClosed, writeSocket } from "./flow.ts";
import type { Gate } from "./gate.ts";

/** One connection on its way through the exit, whatever state it is in. */
export type ExitConnection = {
  /** The consumer wants no more of it: what has been released still arrives, then its stream ends. */
  stop(): void;
  /** The consumer cannot take more of it for now, or can again. */
  hold(): void;
  go(): void;
  /** The session is over: everything at once. */
  abort(error: Error): void;
};

export type CarryDeps = {
  stream: ByteStream;
  /** what the consumer sends after its header */
  incoming: AsyncIterable<Uint8Array>;
  /** connected to the target, half-open capable */
  socket: Socket;
  gate: Pick<Gate, "take" | "room">;
  control: Pick<ExitControl, "reset">;
  unanswered: Pick<Unanswered, "asked" | "answered" | "heldUp" | "settled">;
  /** so many bytes have left for the target */
  onUp(bytes: number): void;
};

export type CarryOptions = { id: number; idleMs: number; lingerMs: number };

/**
 * Carries bytes both ways between a consumer's stream and a target, each through the gate, until both halves have ended.
 * `done` resolves then, with nothing left open.
 */
export function carry(deps: CarryDeps, { id, idleMs, lingerMs }: CarryOptions): ExitConnection & { done: Promise<void> } {
  const { stream, incoming, socket, gate, control, unanswered } = deps;
  const over = new AbortController();
  let held: PromiseWithResolvers<void> | undefined;
  let told: Promise<void> | undefined;
  let linger: NodeJS.Timeout | undefined;

  const go = () => {
    held?.resolve();
    held = undefined;
  };
  /** The target is gone or no longer wanted, the consumer still there: it gets what was released, then the end. */
  const giveUp = (reset: boolean) => {
    if (over.signal.aborted) return;
    over.abort();
    go();
    // not a good end: to the target it would look as if all had been said
    resetSocket(socket);
    if (reset) told = tellReset();
    linger = setTimeout(() => stream.abort(new Error("the consumer did not end its half")), lingerMs);
  };
  const tellReset = async () => {
    if (!(await control.reset(id))) stream.abort(new Error("the target is gone"));
  };
  /** The consumer is gone: the target learns it as a reset. */
  const lost = (error: unknown) => {
    over.abort();
    go();
    resetSocket(socket);
    stream.abort(error instanceof Error ? error : new Error("the consumer is gone"));
  };

  const toConsumer = gated(gate, over.signal, (bytes) => {
    unanswered.answered();
    return stream.write(bytes);
  });
  const toTarget = gated(gate, over.signal, (bytes) => {
    deps.onUp(bytes.length);
    return writeSocket(socket, bytes);
  });
  const down = async () => {
    try {
      await drainSocket(socket, (bytes) => (held ? held.promise.then(() => toConsumer(bytes)) : toConsumer(bytes)));
    } catch (error) {
      // from the target, unless it stands yet: then from the consumer's stream
      if (socket.destroyed) giveUp(true);
      else return lost(error);
    }
    // an end that comes before word of the reset would look like a good one
    await told;
    await stream.closeWrite();
  };
  const upwards = async () => {
    for await (const bytes of incoming) {
      if (over.signal.aborted) continue;
      unanswered.asked(id);
      try {
        const busy = toTarget(bytes);
        if (!busy) continue;
        unanswered.heldUp(id, true);
        await busy;
      } catch {
        giveUp(true);
      }
      unanswered.heldUp(id, false);
    }
    unanswered.settled(id);
    if (!over.signal.aborted) socket.end();
  };

  socket.on("error", () => giveUp(true));
  socket.setTimeout(idleMs, () => giveUp(true));
  const done = Promise.all([down().catch(lost), upwards().catch(lost), whenClosed(socket)]).then(() => clearTimeout(linger));
  return {
    done,
    stop: () => giveUp(false),
    hold: () => {
      if (!over.signal.aborted) held ??= Promise.withResolvers();
    },
    go,
    abort: lost,
  };
}
