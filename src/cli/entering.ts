import type { CommandName } from "../commands.ts";
import { MystError } from "../lib/errors.ts";
import { startTunnelHelper } from "../node/helper.ts";
import type { Helper } from "../node/types.ts";
import type { Context } from "./context.ts";
import { become, handOver, ownerOf } from "./handing.ts";
import { mayOpenTunnels } from "./privileges.ts";
import { chooseUser, machineUsers } from "./users.ts";

type Common = Context<CommandName>;

/** @throws PRIVILEGE_NEEDED */
export function needPrivileges(what: string, otherwise = ", or use --service proxy, which needs no privileges"): void {
  if (mayOpenTunnels()) return;
  throw new MystError("PRIVILEGE_NEEDED", `${what} changes this machine's network, which takes root or CAP_NET_ADMIN`, {
    hint: `run it as root (sudo mystnode ...)${otherwise}`,
  });
}

/**
 * What has to be done before the node is loaded. For a tunnel its helper is started, which keeps the privileges, and this process
 * gives up its own. Without one root stays root, unless the data directory is somebody else's: then the node is that user's.
 */
export async function enter(context: Common, { tunnel }: { tunnel: boolean }): Promise<Helper | undefined> {
  const { settings, out, log } = context;
  if (tunnel) needPrivileges("a tunnel");
  const helper = tunnel ? await startTunnelHelper({ log: await log() }) : undefined;
  try {
    const wanted = (settings as { user?: string }).user;
    const owner = ownerOf(settings.dataDir);
    const drops = tunnel || wanted !== undefined || (owner !== undefined && owner !== 0);
    if (!drops) return helper;
    const self = process.getuid?.();
    if (self !== 0 && wanted === undefined) return helper;
    const user = chooseUser({ wanted, sudoUid: tunnel ? context.env.SUDO_UID : undefined, owner }, machineUsers());
    if (user.uid === self) return helper;
    if (self !== 0)
      throw new MystError("PRIVILEGE_NEEDED", "only root can become another user", { hint: "leave out --user, or run it as root" });
    handOver(settings.dataDir, user);
    become(user, settings.dataDir);
    if (tunnel) out.progress(`the tunnel's helper stays root, the node runs as ${user.name}`);
    return helper;
  } catch (error) {
    await helper?.stop();
    throw error;
  }
}
