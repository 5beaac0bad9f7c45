import { version as ours } from "../lib/version.ts";
import type { Run } from "./context.ts";

/** What runs here, for bug reports. */
export const version: Run<"version"> = async ({ out }) => {
  const node = process.versions.node;
  out.print(`mystnode ${ours} (Node ${node}, ${process.platform} ${process.arch})`);
  out.object({ version: ours, node, platform: process.platform, arch: process.arch });
};
