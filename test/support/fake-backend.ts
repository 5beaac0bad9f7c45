import { createPrivateKey, createPublicKey } from "node:crypto";
import { createDevice } from "../../src/services/wireguard/backend/device.ts";
import type { PeerStats, WgBackend, WgKey, WgPeer } from "../../src/services/wireguard/types.ts";

type Peer = Omit<WgPeer, "endpoint" | "keepaliveS"> & { port?: number; stats: PeerStats };
type Device = { ifname: string; port: number; publicKey: WgKey; mtu: number; peers: Map<WgKey, Peer>; go(why: string): void };

/** WireGuard without a network: devices in memory that shake hands, carry and count as the real ones do. Ports are all of one host. */
export type FakeBackend = WgBackend & {
  device(ifname: string): { mtu: number } | undefined;
  /** A packet of so many bytes, headers and all, between two addresses inside; whether it came through. */
  carry(ifname: string, packet: { from: string; to: string; bytes: number }): boolean;
  /** The device goes by itself. */
  kill(ifname: string): void;
};

/** header and tag of a data message, and what a first and a second message of a handshake have (WireGuard's paper, section 5.4) */
const overhead = 32;
const hello = [148n, 92n] as const;
const block = 16;

export function createFakeBackend(): FakeBackend {
  const devices = new Map<string, Device>();
  const at = (port: number | undefined) => [...devices.values()].find((device) => device.port === port);
  const freePort = () => Math.max(40_000, ...[...devices.values()].map(({ port }) => port)) + 1;
  const count = (peer: Peer, field: "rxBytes" | "txBytes", bytes: bigint) => {
    peer.stats = { ...peer.stats, [field]: peer.stats[field] + bytes };
  };
  const meeting = (from: Device, mine: Peer): Peer | undefined => {
    const theirs = at(mine.port);
    const peer = theirs?.publicKey === mine.publicKey ? theirs.peers.get(from.publicKey) : undefined;
    return peer?.presharedKey === mine.presharedKey ? peer : undefined;
  };
  const greet = (from: Device, mine: Peer) => {
    const theirs = meeting(from, mine);
    if (!theirs || (mine.stats.handshakeMs > 0 && theirs.stats.handshakeMs > 0)) return;
    for (const [peer, sent, received] of [[mine, ...hello] as const, [theirs, hello[1], hello[0]] as const]) {
      count(peer, "txBytes", sent);
      count(peer, "rxBytes", received);
      peer.stats = { ...peer.stats, handshakeMs: Date.now() };
    }
    theirs.port = from.port;
  };

  return {
    kind: "fake",
    probe: async () => ({ ok: true }),
    open: async ({ ifname, privateKey, listenPort, mtu }) => {
      const port = listenPort || freePort();
      if (devices.has(ifname) || at(port)) throw new Error("that name or port is taken");
      const { promise: gone, resolve: go } = Promise.withResolvers<string>();
      const peers = new Map<WgKey, Peer>();
      devices.set(ifname, { ifname, port, publicKey: publicOf(privateKey), mtu, peers, go });
      const alive = () => {
        if (devices.get(ifname)?.peers !== peers) throw new Error("the device has gone");
      };
      const driver = {
        configure: async () => undefined,
        apply: async (changes: Parameters<Parameters<typeof createDevice>[0]["driver"]["apply"]>[0]) => {
          alive();
          for (const change of changes) {
            if (change.do === "remove") peers.delete(change.key);
            else if (change.do === "allow") Object.assign(peers.get(change.key) ?? {}, { allowedIps: change.allowedIps });
            else {
              const { endpoint, keepaliveS: _, ...peer } = change.peer;
              const stats = { rxBytes: 0n, txBytes: 0n, handshakeMs: 0 };
              peers.set(peer.publicKey, { stats, ...peers.get(peer.publicKey), ...peer, ...(endpoint && { port: endpoint.port }) });
            }
          }
        },
        read: async () => {
          alive();
          return { listenPort: port, peers: new Map([...peers].map(([key, { stats }]) => [key, stats])) };
        },
        close: () => undefined,
      };
      const remove = async () => {
        if (devices.get(ifname)?.peers === peers) devices.delete(ifname);
      };
      return createDevice({ ifname, driver, listenPort: port, gone, remove });
    },
    device: (ifname) => devices.get(ifname),
    carry: (ifname, { from, to, bytes }) => {
      // who has somewhere to send a keepalive finds out when the other has forgotten it
      for (const device of devices.values()) for (const peer of device.peers.values()) greet(device, peer);
      const device = devices.get(ifname);
      const mine = [...(device?.peers.values() ?? [])].find(({ allowedIps }) => allowedIps.includes(`${to}/32`));
      if (!device || !mine || mine.stats.handshakeMs === 0) return false;
      const size = BigInt(Math.ceil(bytes / block) * block + overhead);
      count(mine, "txBytes", size);
      const theirs = meeting(device, mine);
      if (!theirs || theirs.stats.handshakeMs === 0) return false;
      count(theirs, "rxBytes", size);
      return theirs.allowedIps.includes(`${from}/32`);
    },
    kill: (ifname) => {
      const device = devices.get(ifname);
      devices.delete(ifname);
      device?.go("the device was killed");
    },
  };
}

/** X25519, RFC 7748; the bytes before the key are what PKCS #8 says of it (RFC 8410). */
function publicOf(privateKey: WgKey): WgKey {
  const der = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), Buffer.from(privateKey, "base64")]);
  const { x } = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).export({ format: "jwk" });
  return Buffer.from(x ?? "", "base64url").toString("base64");
}
