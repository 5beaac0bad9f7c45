import { type ChildProcess, spawn } from "node:child_process";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import { until } from "../../support/until.ts";
import { type Host, inside } from "../../tunnel/support/internet.ts";

export type ByHand = Disposable & {
  /** Changes the MTU of both ends. */
  mtu(bytes: number): void;
};

const port = 51_820;

/**
 * A tunnel as the manuals of WireGuard and nftables have it, with wireguard-go: its keys by `wg`, addresses and routes by `ip`, a plain
 * masquerade, no firewall beside it.
 */
export async function openByHand(client: Host, exit: Host): Promise<ByHand> {
  const keys = { client: makeKeyPair(), exit: makeKeyPair() };
  const children: ChildProcess[] = [];
  const device = async (host: Host, own: { privateKey: string }, rest: string) => {
    children.push(spawn(...inside(host, ["wireguard-go", "-f", "wg0"]), { stdio: "ignore", env: { ...process.env, LOG_LEVEL: "error" } }));
    await until(() => {
      try {
        host.run("wg show wg0");
        return true;
      } catch {
        return false;
      }
    });
    host.run("cat | wg setconf wg0 /dev/stdin", `[Interface]\nPrivateKey = ${own.privateKey}\n${rest}`);
  };
  const peer = (publicKey: string, allowed: string) => `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${allowed}\n`;
  await device(exit, keys.exit, `ListenPort = ${port}\n${peer(keys.client.publicKey, "10.9.0.2/32")}`);
  exit.run(`ip address add 10.9.0.1/24 dev wg0; ip link set wg0 mtu 1280 up; sysctl -q -w net.ipv4.ip_forward=1
    nft add table ip nat; nft add chain ip nat post '{ type nat hook postrouting priority srcnat; }'
    nft add rule ip nat post oifname eth0 ip saddr 10.9.0.0/24 masquerade`);
  await device(client, keys.client, `${peer(keys.exit.publicKey, "0.0.0.0/0")}Endpoint = ${exit.address}:${port}\n`);
  client.run(`ip address add 10.9.0.2/32 dev wg0; ip link set wg0 mtu 1280 up
    ip route add ${exit.address} via $(ip route show default | cut -d' ' -f3) dev eth0; ip route replace default dev wg0`);
  return {
    mtu: (bytes) => {
      for (const host of [client, exit]) host.run(`ip link set wg0 mtu ${bytes}`);
    },
    [Symbol.dispose]: () => {
      for (const child of children) child.kill("SIGKILL");
    },
  };
}
