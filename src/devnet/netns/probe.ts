import { execFile } from "node:child_process";
import { MystError } from "../../lib/errors.ts";
import { pathWithSbin, unshareLine } from "./enter.ts";

/** Each step in namespaces of its own, where it changes nothing; the first that fails names what is missing. */
const script = `fail() { echo "$1"; exit 1; }
for tool in ip nft nsenter mount; do command -v $tool >/dev/null || fail "$tool is not installed"; done
mount -t tmpfs tmpfs /run 2>/dev/null || fail "mounts are not allowed here"
ip link add probe0 type veth peer name probe1 2>/dev/null || fail "no virtual Ethernet (veth)"
echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || fail "/proc/sys cannot be written"
nft -f - 2>/dev/null <<END || fail "no nftables"
table inet probe { chain c { type nat hook postrouting priority 100; masquerade; }; }
END
ip link add probe2 type wireguard 2>/dev/null && exit 0
[ -c /dev/net/tun ] || fail "neither a WireGuard module nor /dev/net/tun"
command -v wireguard-go >/dev/null || fail "no WireGuard module, and wireguard-go is not installed"
`;

const probeMs = 10_000;
const packages = "on Debian: apt install util-linux iproute2 nftables wireguard-tools wireguard-go";

/** Why the devnet cannot run in namespaces with WireGuard on this machine, as an error with its remedy; undefined when it can. */
export async function namespaceProblem(): Promise<MystError | undefined> {
  if (process.platform !== "linux")
    return new MystError("TUNNEL_FAILED", "network namespaces are Linux's alone", proxyHint("run it on Linux"));
  if (process.geteuid?.() !== 0)
    return new MystError("PRIVILEGE_NEEDED", "network namespaces with WireGuard need root", proxyHint("run it as root"));
  const [file = "", ...args] = unshareLine(["sh", "-c", script]);
  return new Promise((resolve) => {
    const env = { ...process.env, PATH: pathWithSbin(process.env.PATH) };
    execFile(file, args, { timeout: probeMs, killSignal: "SIGKILL", env }, (error, stdout, stderr) => {
      if (!error) return resolve(undefined);
      const why = stdout.trim() || stderr.trim().split("\n").at(-1) || error.message;
      resolve(
        new MystError("TUNNEL_FAILED", `network namespaces with WireGuard do not work here: ${why.slice(0, 200)}`, proxyHint(packages)),
      );
    });
  });
}

const proxyHint = (remedy: string) => ({ hint: `${remedy}; or add --service proxy, which needs none of it` });
