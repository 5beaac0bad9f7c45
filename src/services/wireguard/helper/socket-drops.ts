import { udpSockets } from "../backend/udp-sockets.ts";

/** What the kernel has thrown away because the tunnel process did not fetch it in time, for a machine that is busy. */
export type SocketDrops = {
  /** Bytes since the last call as WireGuard counts them, each packet taken for a full one: queues overflow with those. */
  more(): bigint;
};

/** Of the sockets on a UDP port, beginning now. */
export function socketDrops(port: number, mtu: number): SocketDrops {
  // padded to 16, and 32 bytes of header and tag
  const packetBytes = BigInt(16 * Math.ceil(mtu / 16) + 32);
  const droppedAt = () => udpSockets(port).reduce((sum, { drops }) => sum + drops, 0);
  let last = droppedAt();
  return {
    more: () => {
      const now = droppedAt();
      const since = Math.max(0, now - last);
      last = now;
      return BigInt(since) * packetBytes;
    },
  };
}
