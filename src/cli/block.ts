import { execFile } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { MystError } from "../lib/errors.ts";
import { unitForBoot } from "../node/helper.ts";
import type { Run } from "./context.ts";
import { needPrivileges } from "./entering.ts";
import { withHelper } from "./tunnels.ts";

const units = "/etc/systemd/system";

/** Closes this machine without a tunnel: now, or from each of its starts on. */
export const block: Run<"block"> = async ({ settings, out }) => {
  const { atBoot, allowLan: lan } = settings;
  const { name, text } = await unitForBoot({ lan });
  if (atBoot === "print") {
    out.object({ name, unit: text });
    return out.print(text.trimEnd());
  }
  needPrivileges("blocking", "");
  const path = join(units, name);
  if (atBoot === undefined) {
    await withHelper((helper) => helper.block({ lan }));
    out.object({ blocked: true });
    return out.print("nothing leaves this machine until 'mystnode connect' has a tunnel; 'mystnode disconnect' opens it again");
  }
  if (!existsSync("/run/systemd/system"))
    throw new MystError("TOOL_MISSING", "systemd does not start this machine", {
      hint: "'mystnode block --at-boot print' shows what is to be loaded before the network is up",
    });
  if (atBoot === "on") writeFileSync(path, text, { mode: 0o644 });
  else if (existsSync(path)) await systemctl("disable", name);
  if (atBoot === "off") rmSync(path, { force: true });
  await systemctl("daemon-reload");
  if (atBoot === "on") await systemctl("enable", name);
  out.object({ atBoot, unit: path });
  out.print(
    atBoot === "on"
      ? `from the next start on nothing leaves this machine until there is a tunnel (${path})`
      : "the machine starts as it did before",
  );
};

async function systemctl(...args: string[]): Promise<void> {
  await promisify(execFile)("systemctl", args).catch((cause: { stderr?: string }) => {
    throw new MystError("INTERNAL", `systemctl ${args[0]} failed: ${cause.stderr?.trim().split("\n")[0] ?? "it is not there"}`, { cause });
  });
}
