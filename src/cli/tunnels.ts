import { silentLogger } from "../lib/ports.ts";
import { startTunnelHelper } from "../node/helper.ts";
import type { Helper } from "../node/types.ts";

/** Runs `use` with a helper that is there for this alone. */
export async function withHelper<T>(use: (helper: Helper) => Promise<T>): Promise<T> {
  const helper = await startTunnelHelper({ log: silentLogger });
  try {
    return await use(helper);
  } finally {
    await helper.stop();
  }
}
