import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { openStore } from "../../../../src/lib/store.ts";
import type { FrameStream } from "../../../../src/network/network.ts";
import { sessionProtocol } from "../../../../src/session/messages.ts";
import { startPeer } from "../../../net/support.ts";
import { framePipe } from "../../../support/frame-pipe.ts";
import { fastClock } from "./door.ts";
import type { Meeting } from "./overcharge.ts";

/** In memory, and in a sixteenth of the time. */
export async function meetInMemory(): Promise<Meeting> {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-meeting-"));
  const store = await openStore(directory);
  const [identity, exit] = [createIdentity(randomBytes(32)), createIdentity(randomBytes(32))];
  let lie: (stream: FrameStream) => Promise<void> = async () => undefined;
  return {
    ...{ store, identity, clock: fastClock(), exit: { peer: exit.peerId, address: exit.address } },
    network: {
      connect: async () => undefined,
      openFrames: async () => {
        const [ours, theirs] = framePipe(identity.peerId, exit.peerId);
        lie(theirs).then(theirs.close, theirs.abort);
        return ours;
      },
    },
    onSession: (liar) => {
      lie = liar;
    },
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** Two real peers. */
export async function meetOverNetwork(): Promise<Meeting> {
  await using undo = new AsyncDisposableStack();
  const exit = undo.use(await startPeer({ gossip: false, dht: false }));
  const { network, store, identity } = undo.use(await startPeer({ gossip: false, dht: false, listen: [] }));
  const parts = undo.move();
  return {
    ...{ store, identity, clock: systemClock, exit: { peer: exit.identity.peerId, address: exit.identity.address } },
    network: { ...network, connect: (peer, _, signal) => network.connect(peer, exit.network.addresses(), signal) },
    onSession: (lie) => void exit.network.handleFrames(sessionProtocol, { maxFrame: 4_096 }, lie),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
