import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HomeRouterOptions } from "../../support/home-router.ts";
import { type Host, inside } from "./internet.ts";

const program = fileURLToPath(new URL("./home-router-program.ts", import.meta.url));

/**
 * The router of a host behind NAT (`behind`), as one that maps ports when it is asked from there. `forwards`: its rules for that; `forgets`: what
 * it maps leads nowhere any more by UDP, and nobody is told.
 */
export async function startRouterOf(
  router: Host,
  host: Host,
  options: Pick<HomeRouterOptions, "speaks" | "outside">,
): Promise<AsyncDisposable & { forwards(): string; forgets(): void }> {
  const address = host.address.replace(/\d+$/, "1");
  const child = spawn(...inside(router, [process.execPath, program, JSON.stringify({ ...options, address })]), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  await Promise.race([once(child.stdout, "data"), ended.then(() => Promise.reject(new Error("the router's program has ended")))]);
  const forwards = () => router.run("nft list table ip home 2>/dev/null || true");
  return {
    forwards,
    forgets: () =>
      void router.run(
        "nft -f -",
        "table ip home { chain lost { type filter hook prerouting priority raw; iifname eth0 udp dport 51820 drop; }; }",
      ),
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await ended;
      router.run("nft delete table ip home 2>/dev/null || true");
    },
  };
}
