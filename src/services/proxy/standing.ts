import type { LocalServer } from "./local-server.ts";
import type { LocalEnd, OnWanted, Wanted } from "./wanted.ts";

/**
 * A server that outlives sessions: programs find it where it was, whichever exit carries what they ask for. What comes between two
 * sessions waits for the next one.
 */
export type Standing = {
  /** Opens it unless it stands; what is asked for goes to `on` until that lease is stopped. @throws as `open` does */
  lease(on: OnWanted): Promise<LocalServer>;
  /**
   * It came to nothing, and not by what was asked for: it is asked for again in a moment, of this session or the next, unless it has
   * waited long enough. @returns whether it is; whoever asked has heard nothing so far
   */
  again(wanted: Wanted): boolean;
  stands(): boolean;
  close(): Promise<void>;
};

export type StandingOptions = {
  open(on: OnWanted): Promise<LocalServer>;
  /** how long one may wait for the next session */
  waitMs: number;
};

/** Somebody who waits: `refuse` tells so, `hand` passes it on, unless it has gone. */
type Waiting = { refuse(): void; hand(on: OnWanted): void; isGone(): boolean };

const againMs = 300;
/** more than this do not wait; a browser opens a few dozen */
const maxWaiting = 256;

export function createStanding({ open, waitMs }: StandingOptions): Standing {
  let server: Promise<LocalServer> | undefined;
  let taking: OnWanted | undefined;
  const waiting = new Map<Waiting, NodeJS.Timeout>();
  /** since when a connection has been asked for */
  const asked = new WeakMap<LocalEnd, number>();

  const giveUp = (one: Waiting) => {
    clearTimeout(waiting.get(one));
    waiting.delete(one);
    if (!one.isGone()) one.refuse();
  };
  const come = (one: Waiting) => {
    if (one.isGone()) return;
    if (taking) return one.hand(taking);
    if (waiting.size >= maxWaiting || !server) return one.refuse();
    waiting.set(one, setTimeout(giveUp, waitMs, one));
  };
  const connection = (wanted: Wanted): Waiting => ({
    refuse: () => wanted.answer("failed"),
    hand: (to) => to.connection(wanted),
    isGone: () => wanted.end.destroyed,
  });
  const on: OnWanted = {
    connection: (wanted) => {
      asked.set(wanted.end, performance.now());
      come(connection(wanted));
    },
    datagrams: (wanted) =>
      come({ refuse: () => wanted.answer(undefined), hand: (to) => to.datagrams(wanted), isGone: () => wanted.socket.destroyed }),
  };
  return {
    lease: async (next) => {
      server ??= open(on);
      const { address } = await server.catch((error) => {
        server = undefined;
        throw error;
      });
      taking = next;
      for (const [one, timer] of waiting) {
        clearTimeout(timer);
        waiting.delete(one);
        if (!one.isGone()) one.hand(next);
      }
      const stop = () => {
        if (taking === next) taking = undefined;
      };
      return { address, stop, close: async () => stop() };
    },
    again: (wanted) => {
      const sinceMs = asked.get(wanted.end);
      if (sinceMs === undefined || performance.now() - sinceMs > waitMs || wanted.end.destroyed) return false;
      setTimeout(() => come(connection(wanted)), againMs);
      return true;
    },
    stands: () => server !== undefined,
    close: async () => {
      const opened = server;
      server = undefined;
      taking = undefined;
      for (const one of [...waiting.keys()]) giveUp(one);
      await opened?.then((one) => one.close()).catch(() => undefined);
    },
  };
}
