import { makeKeyPair } from "../backend/keys.ts";
import { receiveBuffer } from "../plan/host-plan.ts";
import type { ClientCounters, WgBackend, WgDevice, WgKey } from "../types.ts";
import { createClientCounters } from "./client-counters.ts";
import type { Exit } from "./client-types.ts";
import type { HostPort } from "./host-port.ts";
import { onMoves } from "./moving.ts";
import { createPatience, peerOf, shakeHands } from "./shaking-hands.ts";

export type LegDeps = {
  backend: WgBackend;
  host: Pick<HostPort, "raising">;
  log(level: "info" | "warn", message: string): void;
  onCounters(total: ClientCounters): void;
  /** one change of this client at a time */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
};

type Place = { address: string; port: number };

/** One tunnel of a client: an interface with one peer. It has one key, and one count, whichever exits it leads to one after the other. */
export type HelperLeg = {
  ifname: string;
  publicKey: WgKey;
  device(): WgDevice | undefined;
  /** The interface, which reaches nobody yet; `mark` is on all that it sends. */
  open(mtu: number, mark: number): Promise<WgDevice>;
  /** From now on it is counted what that exit carries. `onGone`: the interface has ended by itself. */
  begin(exit: Exit, onGone: (reason: string) => void): void;
  /**
   * Resolves with the first handshake, and where an exit behind NAT really was; `meanwhile` again and again until then.
   * @throws PEER_TIMEOUT, TUNNEL_FAILED
   */
  meet(exit: Exit, meanwhile: () => Promise<void>): Promise<Place | undefined>;
  /** Goes on counting, and sending to the exit from where this machine is. */
  follow(exit: Exit): void;
  close(): Promise<void>;
};

export function createLeg({ backend, host, log, onCounters, inTurn }: LegDeps, ifname: string): HelperLeg {
  const { privateKey, publicKey } = makeKeyPair();
  let device: WgDevice | undefined;
  let peer: WgKey | undefined;
  const counters = createClientCounters(backend.kind, (one) => one === device, onCounters);

  /**
   * wireguard-go goes on sending from the address that it was last reached at; once that is gone nothing leaves for 15 s, until it shakes hands
   * anew. A peer that is told where its exit is sends from where this machine is, and a keepalive that is switched on goes out at once: the exit
   * answers to where that came from.
   */
  const sendAnew = async (from: WgDevice, exit: Exit) => {
    if (from !== device) return;
    await from.addPeer(peerOf(exit, 0));
    await from.addPeer(peerOf(exit));
    log("info", "an address of this machine has changed: the tunnel sends from where it is now");
  };
  const opened = (): WgDevice => {
    if (!device) throw new Error("the tunnel has no interface");
    return device;
  };

  return {
    ifname,
    publicKey,
    device: () => device,
    open: async (mtu, mark) => {
      device = await backend.open({
        ...{ ifname, privateKey, fwmark: mark, mtu },
        whileBinding: (work) => host.raising(ifname, receiveBuffer, work),
      });
      return device;
    },
    begin: (exit, onGone) => {
      const mine = opened();
      peer = exit.publicKey;
      counters.begin(mine, exit.mtu);
      mine.onExit((reason) => {
        if (mine === device) onGone(reason);
      });
    },
    meet: async (exit, meanwhile) => {
      const mine = opened();
      const { publicKey: key, punch = false } = exit;
      await mine.addPeer(peerOf(exit));
      const since = counters.handshakeMs();
      const mayGoOn = createPatience();
      await shakeHands(
        {
          done: () => counters.handshakeMs() > since,
          isGone: () => mine !== device,
          read: async () => {
            await meanwhile();
            await counters.read(mine, key);
          },
          again: async () => {
            if (!mayGoOn((await mine.stats()).get(key)?.rxBytes ?? 0n)) return;
            await mine.removePeer(key);
            counters.again();
            await mine.addPeer(peerOf(exit));
          },
        },
        punch,
      );
      return punch ? (await mine.stats()).get(key)?.endpoint : undefined;
    },
    follow: (exit) => {
      const mine = opened();
      void counters.keepReading(mine, exit.publicKey);
      void onMoves(
        () => mine === device,
        () => inTurn(() => sendAnew(mine, exit)),
      );
    },
    close: async () => {
      const old = device;
      if (old && peer) await counters.read(old, peer).catch(() => undefined);
      device = undefined;
      await old?.close().catch((error) => log("warn", `the interface stays: ${(error as Error).message}`));
    },
  };
}
