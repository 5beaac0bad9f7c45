import { setTimeout as wait } from "node:timers/promises";
import { ownAddresses } from "../../../lib/own-addresses.ts";

/** it takes no process to look at */
const lookMs = 250;

/** Has `move` called whenever an address of this machine has changed, as long as `goesOn`. */
export async function onMoves(goesOn: () => boolean, move: () => Promise<void>): Promise<void> {
  for (let before = ownAddresses().join(); goesOn(); ) {
    await wait(lookMs);
    const now = ownAddresses().join();
    if (now !== before && goesOn()) await move().catch(() => undefined);
    before = now;
  }
}
