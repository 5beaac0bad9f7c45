import { MystError } from "../lib/errors.ts";
import type { Run } from "./context.ts";
import { chooseNetwork, openNode, runningNode } from "./hosting.ts";
import { confirm } from "./prompt.ts";

const question = [
  "This is for a data directory that was moved, or restored from a copy than which there is nothing newer.",
  "Was anything promised with its key since, exits will take that key for a cheat's: run",
  "'mystnode wallet retire' instead.",
  "Go on with it?",
].join("\n");

/** A ledger that signs nothing because it may not be the newest is in use again. */
export const adopt: Run<"wallet adopt"> = async (context) => {
  const { settings, out, interrupts } = context;
  if (await runningNode(settings.dataDir, interrupts.signal))
    throw new MystError("DATA_DIR_LOCKED", "a node runs here", {
      hint: "end it first, with 'mystnode disconnect' or where it serves, then run this again",
    });
  const node = await openNode(context, await chooseNetwork(settings));
  try {
    if (!settings.yes) await confirm(question, interrupts);
    const adopted = await interrupts.race(node.wallet.adopt());
    out.object({ address: node.address, adopted });
    out.print(adopted ? `${node.address} may be paid from again` : "nothing is in doubt here");
  } finally {
    await node.stop();
  }
};
