import { join } from "node:path";
import { isMystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Found } from "./doctor.ts";
import { runningNode } from "./hosting.ts";

const retire = "run 'mystnode wallet retire': it closes this account and begins with a new key";
const adopt = "if nothing was promised with this key since, run 'mystnode wallet adopt'; if anything was, 'mystnode wallet retire'";

/** Whether the ledgers are whole, and the newest; read from a copy, for opening them would change them. */
export async function checkDatabase(dataDir: string, network: NetworkConfig | undefined): Promise<Found> {
  if (await runningNode(dataDir).catch(() => true)) return { state: "ok", found: "in use by the running node" };
  const { inspectDataDir } = await import("../node/inspecting.ts");
  try {
    const seen = await inspectDataDir(dataDir, network);
    if (!seen) return { state: "note", found: "there is none yet", remedy: "it is made on first use" };
    const { doubtText } = await import("../node/doubts.ts");
    const { entries, doubt, standing } = seen;
    if (standing === "behind") return { state: "fail", found: "more was promised with this key than is recorded", remedy: retire };
    if (doubt || standing === "restored")
      return { state: "fail", found: doubt ? doubtText[doubt] : "it is a copy, or was restored: this key promises nothing", remedy: adopt };
    return { state: "ok", found: `whole, ${entries} records` };
  } catch (error) {
    if (!isMystError(error, "STORE_CORRUPT")) throw error;
    return { state: "fail", found: `[${error.code}] ${error.message}`, remedy: beginAnew(join(dataDir, "db")) };
  }
}

/** No backup of a ledger helps: it would be behind its own promises. */
const beginAnew = (database: string): string =>
  `move it away ('mv ${database} ${database}.damaged', keep it) and start again. Whoever has promised this node anything gives it back when it connects; ` +
  "this key's own promises cannot be known any more, so where it has an account, run 'mystnode wallet retire'";
