import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";

const marker = "MYSTNODE_TEST_NAMESPACES";

/**
 * Runs a program again, by default with our own arguments, in namespaces of its own and in place of this process: whatever kills that
 * ends everything in them.
 * Returns within them with nothing, else with the reason why there are none. With MYSTNODE_REQUIRE_NETNS=1 it throws that.
 * @param wrapper a command of /usr/bin that runs what follows it
 */
export function enterNamespaces(file: string, args: string[] = process.argv.slice(2), wrapper: string[] = []): string | false {
  if (process.env[marker] === "1") {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
    execFileSync("mkdir", ["-p", "/run/wireguard"]);
    execFileSync("ip", ["link", "set", "lo", "up"]);
    return false;
  }
  const wall = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  try {
    execFileSync("unshare", [...wall, "sh", "-c", "mount -t tmpfs tmpfs /run && ip netns add probe"], { stdio: "pipe" });
  } catch (error) {
    const reason = `no namespaces here: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`;
    if (process.env.MYSTNODE_REQUIRE_NETNS === "1") throw new Error(reason);
    return reason;
  }
  const command = [...wrapper, "unshare", ...wall, process.execPath, file, ...args];
  process.execve?.(`/usr/bin/${command[0]}`, command, { ...process.env, [marker]: "1" });
  return "this Node cannot replace itself";
}

export const ip = (...args: string[]) => execFileSync("ip", args, { stdio: "pipe" }).toString();

/** A process in a namespace that answers each UDP packet on port 7. */
export async function startEcho(namespace: string, address: string) {
  const code = `const s=require("dgram").createSocket("udp4");s.on("message",(m,r)=>s.send(m,r.port,r.address));s.bind(7,"${address}",()=>console.log("ready"))`;
  const child = spawn("ip", ["netns", "exec", namespace, process.execPath, "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}
