import { realpathSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { runTool } from "./commands.ts";

/** How the parts run this program: Node, and the package's own directory. */
export type Program = {
  node: string;
  root: string;
  /** told to nodes that would become somebody else: to stay root, where nobody else can read the program */
  userArgs: readonly string[];
};

const here = realpathSync(fileURLToPath(new URL("../../..", import.meta.url)));
/** somebody without any rights: `nobody` */
const nobody = "65534";

/** The directory with all that is loaded: an installed package has what it depends on beside itself. */
export const wholeOf = (root: string): string => {
  const at = root.search(/[\\/]node_modules([\\/]|$)/);
  return at < 0 ? root : root.slice(0, at);
};

const isReadable = async (program: { node: string; root: string }): Promise<boolean> => {
  const test = ["test", "-x", program.node, "-a", "-r", join(program.root, "package.json")];
  return runTool(["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", ...test]).then(
    () => true,
    () => false,
  );
};

/**
 * Makes the program one that a user without rights can run, which nodes become: it is bound to a place that everybody may enter where
 * its own cannot be. Must be called inside, before places are made.
 */
export async function exposeProgram(): Promise<Program> {
  const program = { node: process.execPath, root: here };
  if (await isReadable(program)) return { ...program, userArgs: [] };
  const whole = wholeOf(here);
  const [bound, node] = ["/run/devnet-program", "/run/devnet-node"];
  const bind = 'mkdir "$2" && mount --bind "$1" "$2" && : >"$4" && mount --bind "$3" "$4"';
  await runTool(["sh", "-c", bind, "sh", whole, bound, process.execPath, node]);
  const exposed = { node, root: join(bound, relative(whole, here)) };
  return (await isReadable(exposed)) ? { ...exposed, userArgs: [] } : { ...program, userArgs: ["--user", "root"] };
}
