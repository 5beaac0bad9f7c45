import { MystError } from "../../../lib/errors.ts";
import type { PeerStats, WgDevice, WgKey } from "../types.ts";
import type { Driver } from "./driver.ts";
import { isKey } from "./keys.ts";

export type DeviceParts = {
  ifname: string;
  driver: Driver;
  listenPort: number;
  /** resolves when what carries the interface has gone by itself, with why; a kernel's interface is noticed by reading it */
  gone?: Promise<string>;
  /** Takes the interface away. */
  remove(): Promise<void>;
};

/**
 * The peers of one interface, whatever configures it. WireGuard gives a network that is added twice to the latter peer without a word;
 * here the second one is refused.
 */
export function createDevice({ ifname, driver, listenPort, gone, remove }: DeviceParts): WgDevice {
  const networks = new Map<WgKey, string[]>();
  const callbacks: ((reason: string) => void)[] = [];
  let over: string | undefined;
  let closing = false;
  const end = (reason: string) => {
    if (closing || over !== undefined) return;
    over = reason;
    for (const callback of callbacks.splice(0)) callback(reason);
  };
  void gone?.then(end);
  const read = async (quick = false) => {
    try {
      return (await driver.read(quick)).peers;
    } catch (error) {
      if (!gone) end(`the interface ${ifname} has gone`);
      throw error;
    }
  };
  const known = (key: WgKey): string[] => {
    const allowedIps = networks.get(key);
    if (!allowedIps) throw new MystError("INTERNAL", "no such peer on this interface");
    return allowedIps;
  };
  return {
    ifname,
    listenPort,
    addPeer: async (peer) => {
      if (!isKey(peer.publicKey) || (peer.presharedKey !== undefined && !isKey(peer.presharedKey)))
        throw new MystError("BAD_VALUE", "a WireGuard key is 32 bytes in base64");
      for (const [key, taken] of networks)
        if (key !== peer.publicKey && taken.some((network) => peer.allowedIps.includes(network)))
          throw new MystError("INTERNAL", "another peer of this interface has that network");
      const before = networks.get(peer.publicKey);
      networks.set(peer.publicKey, peer.allowedIps);
      try {
        await driver.apply([{ do: "add", peer }]);
      } catch (error) {
        if (before) networks.set(peer.publicKey, before);
        else networks.delete(peer.publicKey);
        throw error;
      }
    },
    suspend: async (key) => {
      known(key);
      await driver.apply([{ do: "allow", key, allowedIps: [] }]);
    },
    resume: (key) => driver.apply([{ do: "allow", key, allowedIps: known(key) }]),
    removePeer: async (key) => {
      known(key);
      const last: PeerStats | undefined = (await read()).get(key);
      await driver.apply([{ do: "remove", key }]);
      networks.delete(key);
      return last ?? { rxBytes: 0n, txBytes: 0n, handshakeMs: 0 };
    },
    stats: read,
    onExit: (callback) => {
      if (over === undefined) callbacks.push(callback);
      else callback(over);
    },
    close: async () => {
      closing = true;
      driver.close();
      await remove();
    },
  };
}
