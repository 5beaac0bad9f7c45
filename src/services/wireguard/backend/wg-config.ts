import type { PeerStats, WgKey } from "../types.ts";
import { type DeviceKeys, endpointOf, endpointText, type PeerChange } from "./uapi.ts";

/** The text that `wg setconf` reads, see wg(8). */
export const deviceConfig = ({ privateKey, listenPort, fwmark }: DeviceKeys): string =>
  text([
    "[Interface]",
    `PrivateKey = ${privateKey}`,
    `ListenPort = ${listenPort ?? 0}`,
    ...(fwmark === undefined ? [] : [`FwMark = ${fwmark}`]),
  ]);

/** The text that `wg addconf` reads. A section says all of a peer's allowed networks, and leaves what it does not mention. */
export const peersConfig = (changes: Exclude<PeerChange, { do: "remove" }>[]): string => text(changes.flatMap(sectionOf));

function sectionOf(change: Exclude<PeerChange, { do: "remove" }>): string[] {
  if (change.do === "allow") return ["[Peer]", `PublicKey = ${change.key}`, ...allowed(change.allowedIps)];
  const { publicKey, presharedKey, allowedIps, endpoint, keepaliveS } = change.peer;
  return [
    "[Peer]",
    `PublicKey = ${publicKey}`,
    ...(presharedKey === undefined ? [] : [`PresharedKey = ${presharedKey}`]),
    ...allowed(allowedIps),
    ...(endpoint === undefined ? [] : [`Endpoint = ${endpointText(endpoint)}`]),
    ...(keepaliveS === undefined ? [] : [`PersistentKeepalive = ${keepaliveS}`]),
  ];
}

const allowed = (networks: string[]) => (networks.length > 0 ? [`AllowedIPs = ${networks.join(", ")}`] : []);
const text = (lines: string[]) => `${lines.join("\n")}\n`;

/**
 * `wg show <interface> dump`: the device in the first line, its private key in front; then per peer public key, preshared key, endpoint,
 * allowed networks, last handshake (s), bytes received, bytes sent, keepalive. Its keys go no further than this function.
 */
export function parseDump(dump: string): { listenPort: number; peers: Map<WgKey, PeerStats> } {
  const [device = "", ...lines] = dump.trim().split("\n");
  const peers = new Map<WgKey, PeerStats>();
  for (const line of lines) {
    const [publicKey, , endpoint = "", , handshake, rx, tx] = line.split("\t");
    if (publicKey === undefined || tx === undefined) continue;
    peers.set(publicKey, { rxBytes: BigInt(rx ?? 0), txBytes: BigInt(tx), handshakeMs: Number(handshake) * 1000, ...endpointOf(endpoint) });
  }
  return { listenPort: Number(device.split("\t")[2] ?? 0), peers };
}
