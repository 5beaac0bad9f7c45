import { chmodSync, existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { runTool } from "./commands.ts";

/**
 * Where the devnet's files are, for all inside: short, and every user may pass through. In memory for a run that keeps nothing, gone
 * with the namespace however that ends; else the directory of the host that keeps them is bound there.
 */
export const devnetDirectory = "/run/devnet";

/**
 * Covers /run by an empty one, in memory: no file of the host is made there, and no socket of a resolver or a message bus leads out.
 * What is named stays: open the old one, cover it, and bind from the open one.
 */
const coverRun = `set -e
exec 9</run
mount -t tmpfs -o mode=755 tmpfs /run
for name; do
  if [ -d /proc/self/fd/9/"$name" ]; then mkdir /run/"$name" && mount --rbind /proc/self/fd/9/"$name" /run/"$name"
  elif [ -e /proc/self/fd/9/"$name" ]; then : >/run/"$name" && mount --bind /proc/self/fd/9/"$name" /run/"$name"; fi
done`;

export type Mounts = { needed: readonly string[]; keep?: string };

/** The entries of /run that one of the paths lies in. */
export const keptOfRun = (paths: readonly string[]): string[] => [
  ...new Set(paths.flatMap((path) => /^(?:\/var)?\/run\/([^/]+)/.exec(path)?.[1] ?? [])),
];

/**
 * Makes the mounts of the devnet's own mount namespace; must only be called inside it.
 * @param resolver what /etc/resolv.conf says there
 * @param needed paths that must stay as they are, beside where programs are found
 * @param keep a directory of the host to keep the devnet's files in; absent: in memory
 */
export async function makeMounts(resolver: string, { needed, keep }: Mounts): Promise<void> {
  const programs = [process.execPath, ...(process.env.PATH ?? "").split(delimiter)];
  const real = (path: string) => (existsSync(path) ? realpathSync(path) : path);
  const file = realPathOf("/etc/resolv.conf");
  await runTool(["sh", "-c", coverRun, "sh", ...keptOfRun([...programs, ...needed, keep ?? ""].flatMap((path) => [path, real(path)]))]);
  mkdirSync(devnetDirectory, { mode: 0o755 });
  if (keep !== undefined) await runTool(["mount", "--bind", keep, devnetDirectory]);
  // nodes that have given up their rights pass through to their own
  chmodSync(devnetDirectory, 0o711);
  const ours = join("/run", "devnet-resolv.conf");
  writeFileSync(ours, resolver);
  // a link into /run leads nowhere now, and may be made good there
  if (file?.startsWith("/run/")) mkdirSync(dirname(file), { recursive: true });
  if (file?.startsWith("/run/") && !existsSync(file)) writeFileSync(file, "");
  if (file !== undefined && existsSync(file)) await runTool(["mount", "--bind", ours, file]);
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
