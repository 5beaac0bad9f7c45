import { renameSync, writeFileSync } from "node:fs";

/**
 * Loaded before a node's own program (`node --expose-gc --import`): whenever it is sent SIGUSR2 it collects garbage, and what is left, bytes,
 * goes to the file that this module's own address names. What a process has taken from its machine says little of what it holds on to.
 */
const into = decodeURIComponent(new URL(import.meta.url).search.slice(1));

process.on("SIGUSR2", async () => {
  // what is freed by one may free more
  for (let i = 0; i < 3; i += 1) {
    globalThis.gc?.();
    await new Promise((done) => setTimeout(done, 20));
  }
  const { heapUsed, external } = process.memoryUsage();
  writeFileSync(`${into}.new`, String(heapUsed + external));
  renameSync(`${into}.new`, into);
});
