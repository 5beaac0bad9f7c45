#!/usr/bin/env node
// Plain JavaScript that Node 18 reads: hands over to the command line, under a Node that can run it.
import { existsSync, readFileSync } from "node:fs";
import module, { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const needed = [24, 7];

const isEnough = (version) => {
  const [major, minor] = version.split(".").map(Number);
  return major > needed[0] || (major === needed[0] && minor >= needed[1]);
};

if (isEnough(process.versions.node)) await run();
else await handOver();

async function run() {
  followParent();
  const source = join(root, "src", "cli", "main.ts");
  // Node strips types everywhere but below node_modules
  const isClone = !/[\\/]node_modules[\\/]/.test(root) && existsSync(source);
  // a third of the start without it; where it cannot be written there is none
  module.enableCompileCache(isClone ? join(root, "node_modules", ".cache", "mystnode") : join(root, ".cache"));
  const main = await import(isClone ? "../src/cli/main.ts" : "../dist/cli/main.js");
  const status = await main.run(process.argv.slice(2));
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write("", resolve));
  // and not by itself: a socket that somebody forgot to close would keep a finished command alive
  process.exit(status);
}

/** Ends this process when the one that handed over to it was killed and so could not pass that on. */
function followParent() {
  const parent = Number(process.env.MYSTNODE_PARENT);
  delete process.env.MYSTNODE_PARENT;
  if (!parent) return;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 500);
  watch.unref();
}

/** Runs this same file under the Node that came with the package, as if that had been called. */
async function handOver() {
  const node = newerNode();
  if (!node)
    fail(
      `mystnode needs Node ${needed.join(".")} or newer, this is Node ${process.versions.node}`,
      existsSync(join(root, "scripts", "setup.mjs"))
        ? "run 'npm start', which brings one along, or install it from your system's packages"
        : "install a newer Node, or install mystnode again without omitting optional packages: they hold one for most systems",
    );
  const { spawn } = await import("node:child_process");
  const hasChannel = typeof process.send === "function";
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: hasChannel ? ["inherit", "inherit", "inherit", "ipc"] : "inherit",
    env: { ...process.env, MYSTNODE_PARENT: String(process.pid) },
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  if (hasChannel) {
    child.on("message", (message) => process.send(message));
    process.on("message", (message) => child.connected && child.send(message));
    child.on("disconnect", () => process.connected && process.disconnect());
    process.on("disconnect", () => child.connected && child.disconnect());
  }
  child.on("error", (error) => fail(`cannot run ${node}: ${error.message}`, "install Node 24.7 or newer"));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

function newerNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/package.json`);
    return isEnough(JSON.parse(readFileSync(manifest, "utf8")).version) ? join(dirname(manifest), "bin", "node") : undefined;
  } catch {
    return undefined;
  }
}

function fail(message, hint) {
  process.stderr.write(`error: ${message} (NODE_TOO_OLD)\n  ${hint}\n`);
  process.exit(1);
}
