// Compiles src to dist, as it is published. What an earlier build left there is removed.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
rmSync(join(root, "dist"), { recursive: true, force: true });
const tsc = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", join(root, "src")], { stdio: ["ignore", 2, "inherit"] });
process.exit(tsc.status ?? 1);
