import { content, startTrader } from "../../../net/discovery/market.ts";
import type { GroupPeer, GroupTask } from "./group.ts";

/** Starts the peers that it is told to, and lets them be until it is killed or its parent is gone. */
process.on("disconnect", () => process.exit(0));
process.once("message", async ({ countries, bootstrap }: GroupTask) => {
  const peers: GroupPeer[] = [];
  for (const country of countries) {
    const trader = await startTrader({ bootstrap });
    if (country !== undefined) await trader.discovery.announce(content(country, BigInt(50 + Math.floor(Math.random() * 100))));
    peers.push({ peer: trader.network.peerId, invite: String(trader.network.addresses()[0]), country });
  }
  process.send?.(peers);
});
