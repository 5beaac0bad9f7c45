import { type ChildProcess, spawn } from "node:child_process";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import { until } from "../../support/until.ts";
import { type Host, inside, processesOn } from "../../tunnel/support/internet.ts";

/** The address inside of a tunnel that is set up by hand, of the first client and of others. */
export const handAddress = handAddressOf(0);
function handAddressOf(client: number): string {
  return `10.9.0.${2 + client}`;
}
const port = 51_820;
const mtu = 1420;

export type HandExit = Disposable & { publicKey: string; endpoint: { address: string; port: number } };

/**
 * wireguard-go on a host, configured by `wg`; in a session of its own, as on a host of its own, and as ours is. The kernel shares its processors out
 * among sessions (sched_autogroup), and two ends in one session take a third less of them than two in two.
 */
async function device(host: Host, config: string): Promise<ChildProcess> {
  const child = spawn(...inside(host, ["wireguard-go", "-f", "wg0"]), {
    stdio: "ignore",
    detached: true,
    env: { ...process.env, LOG_LEVEL: "error" },
  });
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
export async function openHandExit(exit: Host, ...clients: { publicKey: string }[]): Promise<HandExit> {
  const { privateKey, publicKey } = makeKeyPair();
  const own = `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${port}\n`;
  const child = await device(exit, own + clients.map((client, i) => peer(client.publicKey, `${handAddressOf(i)}/32`)).join(""));
  exit.run(`ip address add 10.9.0.1/24 dev wg0; ip link set wg0 mtu ${mtu} up; sysctl -q -w net.ipv4.ip_forward=1
    nft add table ip nat; nft add chain ip nat post '{ type nat hook postrouting priority srcnat; }'
    nft add rule ip nat post oifname eth0 ip saddr 10.9.0.0/24 masquerade`);
  return { publicKey, endpoint: { address: exit.address, port }, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/**
 * Tunnels by hand, for all that their clients' hosts send: "bare", by a default route to the tunnel and one to the exit beside it, no firewall; or as
 * `wg-quick` has it, by its mark, its policy routes and its few nft rules.
 */
export async function openByHand(clients: { host: Host; how: "bare" | "wg-quick" }[], exit: Host): Promise<Disposable> {
  const keys = clients.map(() => makeKeyPair());
  const undo = new DisposableStack();
  const far = undo.use(await openHandExit(exit, ...keys));
  for (const [i, { host, how }] of clients.entries()) {
    const { privateKey = "" } = keys[i] ?? {};
    const own = `[Interface]\nPrivateKey = ${privateKey}\n`;
    const toExit = `${peer(far.publicKey, "0.0.0.0/0")}Endpoint = ${exit.address}:${port}\n`;
    const address = `${handAddressOf(i)}/32`;
    if (how === "wg-quick") {
      const settings = `${own}Address = ${address}\nMTU = ${mtu}\n${toExit}`;
      host.run("umask 077; cat > /run/wireguard/wg0.conf; setsid --wait wg-quick up /run/wireguard/wg0.conf >/dev/null 2>&1", settings);
      undo.defer(() => {
        for (const { pid, command } of processesOn(host)) if (/^wireguard-go /.test(command)) process.kill(pid, "SIGKILL");
      });
      continue;
    }
    const child = await device(host, own + toExit);
    undo.defer(() => void child.kill("SIGKILL"));
    host.run(`ip address add ${address} dev wg0; ip link set wg0 mtu ${mtu} up
      ip route add ${exit.address} via $(ip -4 route show default | cut -d' ' -f3) dev eth0; ip route replace default dev wg0`);
  }
  return undo;
}

/** Keeps all processes of these hosts from running while `work` lasts. */
export async function standing<T>(hosts: Host[], without: number[], work: () => Promise<T>): Promise<T> {
  const pids = hosts.flatMap(processesOn).flatMap(({ pid }) => (without.includes(pid) ? [] : [pid]));
  for (const pid of pids) signalled(pid, "SIGSTOP");
  try {
    return await work();
  } finally {
    for (const pid of pids) signalled(pid, "SIGCONT");
  }
}

/** A tool that only asked something may have ended since. */
function signalled(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
