import type { Run } from "./context.ts";

/** A whole market on this machine; src/devnet does it all. */
export const devnet: Run<"devnet"> = async ({ settings, sources, out, interrupts, log }) => {
  const { runDevnet } = await import("../devnet/run.ts");
  const { dataDir, once, json, quiet, service, bytes, discovery } = settings;
  return await runDevnet({
    dataDir,
    isDefaultDataDir: sources["data-dir"] === "default",
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

/** A shell where a place of the running devnet stands, as root. */
export const shell: Run<"devnet shell"> = async ({ settings, args: [place = "guest"] }) => {
  const { openShell } = await import("../devnet/shell.ts");
  return await openShell({ dataDir: settings.dataDir, place, say: (line) => process.stderr.write(`${line}\n`) });
};
