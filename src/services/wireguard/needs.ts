import { MystError } from "../../lib/errors.ts";
import type { BackendKind, HelperProbe } from "./types.ts";

/**
 * That a tunnel can be opened here, by `wanted` where one is named.
 * @throws TOOL_MISSING with what is missing
 */
export function needBackend(probe: HelperProbe, wanted?: BackendKind): void {
  const named = probe.backends.find(({ kind }) => kind === wanted);
  const hint = "run 'mystnode doctor', or use --service proxy, which needs none";
  if (wanted !== undefined && !named?.ok)
    throw new MystError("TOOL_MISSING", `WireGuard cannot run as ${wanted} here: ${named?.reason ?? "it is not known"}`, { hint });
  if (wanted === undefined && probe.chosen === undefined) {
    const why = probe.backends.map(({ kind, reason }) => `${kind}: ${reason ?? "not usable"}`).join("; ");
    throw new MystError("TOOL_MISSING", `nothing here can run WireGuard (${why})`, { hint });
  }
}
