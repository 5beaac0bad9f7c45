import { execFileSync } from "node:child_process";
import { cp, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownProgram } from "../../../../src/devnet/processes.ts";
import type { Random } from "../../../support/random.ts";
import { passOff } from "../../../support/store-copies.ts";

/** Room that a database has on its disk, in our hands. */
export type Room = AsyncDisposable & {
  /** what starts its node in it */
  program: readonly string[] | undefined;
  /** From here on there is as much as one wants; false: only for a process that is started anew. */
  give(): Promise<boolean>;
};

const mount = (...args: string[]) => execFileSync("mount", args, { stdio: "pipe" });
/** At once, also while somebody is still at it. */
const unmount = (path: string) => execFileSync("umount", ["--lazy", path], { stdio: "pipe" });

/**
 * Little of it: in a mount namespace of our own a disk of its own that is nearly full, elsewhere no file over a few KiB.
 * @param walled whether there is such a namespace
 */
export async function littleRoom(dataDir: string, walled: boolean, random: Random): Promise<Room> {
  if (!walled) {
    const blocks = 24 + random.int(16);
    const program = ["sh", "-c", `ulimit -f ${blocks}; exec "$@"`, "sh", ...ownProgram];
    return { program, give: async () => false, [Symbol.asyncDispose]: async () => undefined };
  }
  const directory = join(dataDir, "db");
  const aside = await mkdtemp(join(tmpdir(), "mr-"));
  await cp(directory, aside, { recursive: true });
  mount("-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", directory);
  await cp(aside, directory, { recursive: true });
  await rm(aside, { recursive: true });
  await passOff(directory);
  const ballast = join(directory, "ballast");
  {
    await using file = await open(ballast, "w");
    const block = Buffer.alloc(4_096);
    for (let full = false; !full; )
      await file.write(block).catch(() => {
        full = true;
      });
    // pages, for the next few writes
    await file.truncate(Math.max(0, (await file.stat()).size - (6 + random.int(12)) * 4_096));
  }
  return {
    program: undefined,
    give: async () => {
      await rm(ballast, { force: true });
      return true;
    },
    [Symbol.asyncDispose]: async () => void unmount(directory),
  };
}

/** Nothing can be written to the database while this lasts. @returns undefined where that cannot be had */
export async function readOnly(dataDir: string, walled: boolean): Promise<AsyncDisposable | undefined> {
  const directory = join(dataDir, "db");
  if (walled) {
    mount("--bind", directory, directory);
    mount("-o", "remount,bind,ro", directory);
    return { [Symbol.asyncDispose]: async () => void unmount(directory) };
  }
  // root may write whatever the mode says
  if (process.getuid?.() === 0) return undefined;
  execFileSync("chmod", ["-R", "a-w", directory]);
  return { [Symbol.asyncDispose]: async () => void execFileSync("chmod", ["-R", "u+w", directory]) };
}
