import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A temporary directory for this process and what it starts: what is killed leaves its databases behind, all of them in there. */
export function ownTmpdir(name: string): AsyncDisposable {
  const directory = mkdtempSync(join(tmpdir(), `mystnode-${name}-`));
  const { TMPDIR } = process.env;
  process.env.TMPDIR = directory;
  return {
    [Symbol.asyncDispose]: async () => {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
      await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
