import { execFileSync } from "node:child_process";
import net from "node:net";

/** Every address of these is this machine's, in the network namespace that we are in: each peer can have one, in whatever network. */
export function takeAddresses(): void {
  for (const range of ["45.0.0.0/8", "46.0.0.0/8"])
    execFileSync("ip", ["route", "replace", "local", range, "dev", "lo"], { stdio: "pipe" });
}

/** A connection of this process comes from one of these addresses, as from any other machine. */
export function dialFrom(ips: readonly string[]): void {
  const connect = net.connect;
  net.connect = ((to: net.TcpNetConnectOpts, ...rest: []) =>
    connect({ ...to, localAddress: ips[Math.floor(Math.random() * ips.length)] as string }, ...rest)) as typeof net.connect;
}
