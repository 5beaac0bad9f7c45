import { randomBytes } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { everybody } from "../../../../src/discovery/announcers.ts";
import { openCatalogue } from "../../../../src/discovery/catalogue.ts";
import { encodeOffer, openOffer } from "../../../../src/discovery/offer.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { within } from "../../../../src/lib/lifecycle.ts";
import { openStore } from "../../../../src/lib/store.ts";
import { content, networkConfig, startTrader } from "../../../net/discovery/market.ts";
import { ownTmpdir } from "../../../support/own-tmpdir.ts";
import { offerOf, signedBy } from "../../../unit/discovery/offers.ts";
import { startPeers } from "./peers.ts";

/** ms: from the connection to a peer that holds `offers` until they are all known here, signatures checked; and checking them alone. */
export async function measureSnapshot(offers: number, times: number): Promise<{ pulled: number[]; checked: number[] }> {
  await using _ = ownTmpdir("snapshot");
  const nowMs = Date.now();
  const signed = Array.from({ length: offers }, () => {
    const owner = createIdentity(randomBytes(32));
    return signedBy(owner, { ...offerOf(owner), ...content("US"), seq: BigInt(nowMs), expiresMs: nowMs + 600_000 }, networkConfig);
  });
  const directory = await mkdtemp(join(tmpdir(), "mystnode-net-"));
  {
    await using store = await openStore(directory);
    const catalogue = await openCatalogue({ store, clock: systemClock, network: networkConfig, announcers: everybody });
    for (const one of signed) catalogue.add(one, "gossip");
    await catalogue.save();
  }
  await using holder = startPeers();
  const [peer] = (await holder.ask({ type: "start", countries: [undefined], bootstrap: [], directory })).peers;
  if (peer?.exits !== offers) throw new Error(`the holder has ${peer?.exits} of ${offers} offers`);
  const pulled: number[] = [];
  const checked: number[] = [];
  for (let time = 0; time < times; time++) {
    await using puller = await startTrader({ listen: [], sources: ["snapshot"] });
    const done = Promise.withResolvers<void>();
    let beganMs = Number.NaN;
    // what is timed begins when the other one is known to be of this network
    puller.network.onConnect(() => {
      beganMs = performance.now();
    });
    let known = 0;
    puller.discovery.onOffer(() => {
      known += 1;
      if (known === offers) done.resolve();
    });
    await puller.network.connect(peer.peer, [peer.invite], AbortSignal.timeout(20_000));
    await within(done.promise, 30_000, "PEER_TIMEOUT", "the snapshot");
    pulled.push(performance.now() - beganMs);
    const checkMs = performance.now();
    for (const one of signed) openOffer(encodeOffer(one), networkConfig, Date.now());
    checked.push(performance.now() - checkMs);
  }
  return { pulled, checked };
}
