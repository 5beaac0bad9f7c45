import type { WgBackend } from "../types.ts";
import { createDevice } from "./device.ts";
import { wgDriver } from "./driver.ts";
import { runTool } from "./run-tool.ts";

/** The Linux kernel's own WireGuard, configured by `ip` and `wg`. */
export function kernelBackend(): WgBackend {
  return {
    kind: "kernel",
    probe: async () => {
      if (process.platform !== "linux") return { ok: false, reason: "this is not Linux" };
      try {
        const version = toolVersion(await runTool("wg", ["--version"]));
        // a real try: whether the module can be loaded, and whether we may, shows in no other way
        const name = `mystp${process.pid % 1e8}`;
        await runTool("ip", ["link", "add", name, "type", "wireguard"]);
        await runTool("ip", ["link", "delete", name]);
        return { ok: true, ...(version && { version }) };
      } catch (error) {
        return { ok: false, reason: reasonOf(error) };
      }
    },
    open: async ({ ifname, mtu, ...keys }) => {
      await runTool("ip", ["link", "add", ifname, "mtu", String(mtu), "type", "wireguard"]);
      const remove = async () => {
        await runTool("ip", ["link", "delete", ifname]).catch(() => undefined);
      };
      try {
        const driver = wgDriver(ifname);
        await driver.configure(keys);
        await runTool("ip", ["link", "set", ifname, "up"]);
        return createDevice({ ifname, driver, listenPort: (await driver.read()).listenPort, remove });
      } catch (error) {
        await remove();
        throw error;
      }
    },
  };
}

export const toolVersion = (text: string): string | undefined => /v?(\d+(?:\.\d+)+)/.exec(text)?.[1];

function reasonOf(error: unknown): string {
  const { message } = error as Error;
  if (/Unknown device type|not supported/i.test(message)) return "this kernel has no WireGuard module";
  if (/not permitted|denied/i.test(message)) return "that needs the right to configure networks (root, or CAP_NET_ADMIN)";
  return message;
}
