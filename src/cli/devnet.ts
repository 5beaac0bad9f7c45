import type { Run } from "./context.ts";

/** A whole market on this machine; src/devnet does it all. */
export const devnet: Run<"devnet"> = async ({ settings, out, interrupts, log }) => {
  const { runDevnet } = await import("../devnet/run.ts");
  const { dataDir, once, json, quiet, service, bytes, discovery } = settings;
  return await runDevnet({
    dataDir,
    once,
    json,
    quiet,
    color: out.color,
    service,
    bytes,
    ...(discovery.length > 0 && { discovery }),
    stdout: process.stdout,
    stderr: process.stderr,
    log: await log(),
    signal: interrupts.signal,
  });
};
