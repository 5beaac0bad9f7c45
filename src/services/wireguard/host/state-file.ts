import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { PlanKind } from "../plan/host-plan.ts";

const ifname = z.string().regex(/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/);

/** What was changed for one kind of plan, written before the change: enough to take it back in another process. */
const stateSchema = z.strictObject({
  version: z.literal(1),
  /** the process that applied it, told from a later one of the same id by when it began */
  owner: z.strictObject({ pid: z.int().positive(), began: z.string() }),
  ifname,
  /** with two hops: the interface that goes through the other */
  first: ifname.optional(),
  /** lines for `ip -batch`, in the order in which they are to run */
  undo: z.array(z.strictObject({ family: z.literal([4, 6]), del: z.string().regex(/^(addr|link|route|rule) [\w ./:-]+$/) })),
  /** in the order in which they are to be written back; `ours` where the value is restored only if nobody has changed it since */
  sysctls: z.array(
    z.strictObject({ key: z.string().regex(/^net\/[\w./-]+$/), old: z.string().regex(/^-?\d+$/), ours: z.string().optional() }),
  ),
});

export type HostState = z.infer<typeof stateSchema>;

export type StateFile = {
  /** undefined where there is none, or none that can be read */
  read(): HostState | undefined;
  write(state: HostState): void;
  remove(): void;
};

/** Where the state of a kind of plan is kept; that it is there may be seen by anybody. */
export const statePath = (directory: string, kind: PlanKind): string => join(directory, `host-${kind}.json`);

/** In a directory that only root may write; on a tmpfs, so that a restart of the machine forgets it as the kernel forgets the rest. */
export function stateFile(directory: string, kind: PlanKind): StateFile {
  const path = statePath(directory, kind);
  return {
    read: () => {
      try {
        return stateSchema.parse(JSON.parse(readFileSync(path, "utf8")));
      } catch {
        return undefined;
      }
    },
    write: (state) => {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    remove: () => {
      rmSync(path, { force: true });
      rmSync(`${path}.new`, { force: true });
    },
  };
}

/** When a process began, in the kernel's ticks since boot; undefined when there is none of this id. */
export function processBegan(pid: number): string | undefined {
  try {
    // the second field is a name in parentheses that may hold anything
    const [state = "", ...rest] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    // a zombie stays for as long as its parent does not ask how it ended, which in containers may be for ever
    return "ZX".includes(state) ? undefined : rest[18];
  } catch {
    return undefined;
  }
}
