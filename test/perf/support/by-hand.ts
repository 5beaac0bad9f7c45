import { type ChildProcess, spawn } from "node:child_process";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import { until } from "../../support/until.ts";
import { type Host, inside } from "../../tunnel/support/internet.ts";

/** Addresses inside of a tunnel that is set up by hand. */
export const handAddress = "10.9.0.2";
const port = 51_820;

export type HandExit = Disposable & { publicKey: string; endpoint: { address: string; port: number } };

/** wireguard-go on a host, configured by `wg`. */
async function device(host: Host, config: string): Promise<ChildProcess> {
  const child = spawn(...inside(host, ["wireguard-go", "-f", "wg0"]), { stdio: "ignore", env: { ...process.env, LOG_LEVEL: "error" } });
  await until(() => {
    try {
      host.run("wg show wg0");
      return true;
    } catch {
      return false;
    }
  });
  host.run("cat | wg setconf wg0 /dev/stdin", config);
  return child;
}

const peer = (publicKey: string, allowed: string) => `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${allowed}\n`;

/** An exit as the manuals of WireGuard and nftables have it: addresses by `ip`, a plain masquerade, no firewall beside it. */
export async function openHandExit(exit: Host, client: { publicKey: string }): Promise<HandExit> {
  const { privateKey, publicKey } = makeKeyPair();
  const own = `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${port}\n`;
  const child = await device(exit, own + peer(client.publicKey, `${handAddress}/32`));
  exit.run(`ip address add 10.9.0.1/24 dev wg0; ip link set wg0 mtu 1280 up; sysctl -q -w net.ipv4.ip_forward=1
    nft add table ip nat; nft add chain ip nat post '{ type nat hook postrouting priority srcnat; }'
    nft add rule ip nat post oifname eth0 ip saddr 10.9.0.0/24 masquerade`);
  return { publicKey, endpoint: { address: exit.address, port }, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** A whole tunnel by hand: all that the client's host sends goes through it. */
export async function openByHand(client: Host, exit: Host): Promise<Disposable> {
  const keys = makeKeyPair();
  const far = await openHandExit(exit, keys);
  const { address } = far.endpoint;
  const own = `[Interface]\nPrivateKey = ${keys.privateKey}\n${peer(far.publicKey, "0.0.0.0/0")}Endpoint = ${address}:${port}\n`;
  const child = await device(client, own);
  client.run(`ip address add ${handAddress}/32 dev wg0; ip link set wg0 mtu 1280 up
    ip route add ${address} via $(ip -4 route show default | cut -d' ' -f3) dev eth0; ip route replace default dev wg0`);
  return {
    [Symbol.dispose]: () => {
      child.kill("SIGKILL");
      far[Symbol.dispose]();
    },
  };
}
