import { cp, mkdir, open, readdir, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../../../support/random.ts";
import { type Part as FilePart, filesOf, type Harm, harm, passOff } from "../../../support/store-copies.ts";

/** A data directory that nobody has open, a copy of it from before its last session, and chance. */
export type Scene = { dataDir: string; backup: string; random: Random };

export type Damage = {
  name: string;
  /**
   * `files`: of the database; `copy`: an older state is back, whole; `key`: what the identity is kept in; `room`: the disk takes no
   * more, so that it is done to a process and not to what it has left
   */
  to: "files" | "copy" | "key" | "full" | "read-only";
  do(scene: Scene): Promise<void>;
};

const parts: FilePart[] = ["log", "table", "manifest", "current", "mark"];
const harms: Harm[] = ["cut off", "bits flipped", "zeroed", "gone"];

const toFiles = parts.flatMap((part) =>
  harms.map(
    (how): Damage => ({
      ...{ name: `${part} ${how}`, to: "files" },
      do: async ({ dataDir, random }) => {
        const files = await filesOf(join(dataDir, "db"), part);
        // a database that was never opened again has no table, and its log has all there is
        const [file] = files.length > 0 ? [random.of(files)] : await filesOf(join(dataDir, "db"), "log");
        if (!file) throw new Error(`there is no ${part}`);
        await harm(file, how, random.int(1_000) / 1_000);
      },
    }),
  ),
);

/** As tools do it that bring back a directory: it is another one then. */
const restored: Damage = {
  ...{ name: "restored from a copy", to: "copy" },
  do: async ({ dataDir, backup }) => {
    await rm(join(dataDir, "db"), { recursive: true });
    await cp(join(backup, "db"), join(dataDir, "db"), { recursive: true, preserveTimestamps: true });
  },
};
/** File by file, into those that are there. */
const overwritten: Damage = {
  ...{ name: "restored over what was there", to: "copy" },
  do: async ({ dataDir, backup }) => {
    const [from, to] = [join(backup, "db"), join(dataDir, "db")];
    const names = await readdir(from);
    for (const name of await readdir(to)) if (!names.includes(name)) await rm(join(to, name));
    for (const name of names) {
      if (!(await stat(join(to, name)).catch(() => undefined))) {
        await cp(join(from, name), join(to, name));
        continue;
      }
      await using source = await open(join(from, name), "r");
      await using target = await open(join(to, name), "r+");
      const content = await source.readFile();
      await target.write(content, 0, content.length, 0);
      await truncate(join(to, name), content.length);
    }
  },
};
/** As a file system or a hypervisor goes back as a whole: nothing in the directory tells. */
const snapshot: Damage = {
  ...{ name: "gone back as a whole", to: "copy" },
  do: async (scene) => {
    await restored.do(scene);
    await passOff(join(scene.dataDir, "db"));
  },
};
const database: Damage = {
  ...{ name: "database gone", to: "copy" },
  do: async ({ dataDir }) => {
    await rm(join(dataDir, "db"), { recursive: true });
    await mkdir(join(dataDir, "db"), { mode: 0o700 });
  },
};

const toKey = (["cut off", "bits flipped", "gone"] as const).map(
  (how): Damage => ({
    ...{ name: `keystore ${how}`, to: "key" },
    do: ({ dataDir, random }) => harm(join(dataDir, "identity", "keystore.json"), how, random.int(1_000) / 1_000),
  }),
);
const nothing = async () => undefined;

export const damages: readonly Damage[] = [
  ...toFiles,
  ...[restored, overwritten, snapshot, database],
  ...toKey,
  { name: "disk full", to: "full", do: nothing },
  { name: "read-only", to: "read-only", do: nothing },
];
