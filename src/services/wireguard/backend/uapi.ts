import { MystError } from "../../../lib/errors.ts";
import type { PeerStats, WgKey, WgPeer } from "../types.ts";
import { keyFromHex, keyToHex } from "./keys.ts";

/** WireGuard's cross-platform configuration protocol as text (https://www.wireguard.com/xplatform/). */
export type PeerChange =
  | { do: "add"; peer: WgPeer }
  /** allowed networks become exactly these; endpoint and handshake stay */
  | { do: "allow"; key: WgKey; allowedIps: string[] }
  | { do: "remove"; key: WgKey };

export type DeviceKeys = { privateKey: WgKey; listenPort?: number; fwmark?: number };

export const getRequest = "get=1\n\n";

/** The device's own settings; peers that are there go. */
export const deviceRequest = ({ privateKey, listenPort, fwmark }: DeviceKeys): string =>
  request([
    `private_key=${keyToHex(privateKey)}`,
    `listen_port=${listenPort ?? 0}`,
    ...(fwmark === undefined ? [] : [`fwmark=${fwmark}`]),
    "replace_peers=true",
  ]);

export const peersRequest = (changes: PeerChange[]): string => request(changes.flatMap(changeLines));

const request = (lines: string[]) => `${["set=1", ...lines].join("\n")}\n\n`;

function changeLines(change: PeerChange): string[] {
  if (change.do === "remove") return [`public_key=${keyToHex(change.key)}`, "remove=true"];
  const allowed = (networks: string[]) => ["replace_allowed_ips=true", ...networks.map((network) => `allowed_ip=${network}`)];
  if (change.do === "allow") return [`public_key=${keyToHex(change.key)}`, "update_only=true", ...allowed(change.allowedIps)];
  const { publicKey, presharedKey, allowedIps, endpoint, keepaliveS } = change.peer;
  return [
    `public_key=${keyToHex(publicKey)}`,
    ...(presharedKey === undefined ? [] : [`preshared_key=${keyToHex(presharedKey)}`]),
    ...(endpoint === undefined ? [] : [`endpoint=${endpointText(endpoint)}`]),
    ...(keepaliveS === undefined ? [] : [`persistent_keepalive_interval=${keepaliveS}`]),
    ...allowed(allowedIps),
  ];
}

export const endpointText = ({ address, port }: { address: string; port: number }): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** "192.0.2.1:51820" or "[2001:db8::1]:51820"; nothing for anything else */
export function endpointOf(text: string): Pick<PeerStats, "endpoint"> {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([0-9.]+)):(\d+)$/i.exec(text);
  const address = match?.[1] ?? match?.[2];
  return address === undefined ? {} : { endpoint: { address, port: Number(match?.[3]) } };
}

/** @throws INTERNAL when the answer is of a refusal */
export function checkAnswer(answer: string): void {
  const errno = /^errno=(-?\d+)$/m.exec(answer)?.[1];
  if (errno !== "0") throw new MystError("INTERNAL", `the tunnel process refused a change (errno ${errno ?? "missing"})`);
}

/** What an answer to `get` says of the peers. Its private and preshared keys go no further than this function. */
export function parseGet(answer: string): { listenPort: number; peers: Map<WgKey, PeerStats> } {
  checkAnswer(answer);
  const peers = new Map<WgKey, PeerStats>();
  let listenPort = 0;
  let current: PeerStats | undefined;
  for (const line of answer.split("\n")) {
    const at = line.indexOf("=");
    const value = line.slice(at + 1);
    switch (line.slice(0, at)) {
      case "listen_port":
        listenPort = Number(value);
        break;
      case "public_key":
        current = { rxBytes: 0n, txBytes: 0n, handshakeMs: 0 };
        peers.set(keyFromHex(value), current);
        break;
      case "endpoint":
        if (current) Object.assign(current, endpointOf(value));
        break;
      case "rx_bytes":
        if (current) current.rxBytes = BigInt(value);
        break;
      case "tx_bytes":
        if (current) current.txBytes = BigInt(value);
        break;
      case "last_handshake_time_sec":
        if (current) current.handshakeMs += Number(value) * 1000;
        break;
      case "last_handshake_time_nsec":
        if (current) current.handshakeMs += Math.floor(Number(value) / 1e6);
        break;
    }
  }
  return { listenPort, peers };
}
