import { silentLogger } from "../lib/ports.ts";
import { startTunnelHelper } from "../node/helper.ts";
import type { Helper, HelperProbe } from "../node/types.ts";

/** Runs `use` with a helper that is there for this alone. */
export async function withHelper<T>(use: (helper: Helper) => Promise<T>): Promise<T> {
  const helper = await startTunnelHelper({ log: silentLogger });
  try {
    return await use(helper);
  } finally {
    await helper.stop();
  }
}

/** "kernel: no module; wireguard-go 0.0.20220316, chosen" */
export const backendsText = ({ backends, chosen }: HelperProbe): string =>
  backends
    .map(({ kind, ok, version, reason }) =>
      ok
        ? `${kind}${version === undefined ? "" : ` ${version}`}${kind === chosen ? ", chosen" : ""}`
        : `${kind}: ${reason ?? "not usable"}`,
    )
    .join("; ");

/** Why nothing leaves the machine although no node runs, and the two ways out. */
export const blockedHint =
  "a kill switch stands that an ended connection left: run 'mystnode connect' again, or 'mystnode disconnect' to lift it";
