import { MystError } from "./lib/errors.ts";

const needed = [24, 7] as const;

/**
 * Imported before all else, so that an old Node is told as such and not by whatever it lacks first.
 * @throws NODE_TOO_OLD
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < needed[0] || (major === needed[0] && minor < needed[1]))
  throw new MystError("NODE_TOO_OLD", `mystnode needs Node ${needed.join(".")} or newer, this is Node ${process.versions.node}`, {
    hint: "run it with a newer Node; the package node-<platform>-<arch>, which comes with mystnode, has one in its bin/node",
  });
