import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe } from "../../support/harness.ts";
import { mmdb } from "../../support/mmdb.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { openTunnelMarket, type TunnelMarket } from "../support/market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const observers = ["one", "two", "three"];
const database = "/run/places.mmdb";

describe("tunnel/service: where the traffic of a tunnel comes out", (register, { before, after }) => {
  let market: TunnelMarket;
  before(
    async () => {
      market = await openTunnelMarket({ bonded: observers });
      await market.startExit();
      const started = observers.map((name) => {
        const node = market.nodeOf(name);
        const listen = `/ip4/${node.host.address}/tcp/4480`;
        const args = ["serve", "--service", "none", "--watch", "--country", "FR", "--listen", listen, "--bootstrap", market.joining.via];
        return node.start(args, ({ serving, peers }) => serving !== undefined && peers.length > 0);
      });
      await Promise.all(started);
      const [exit, consumer] = [market.exit.host.address, market.consumer.host.address];
      writeFileSync(
        database,
        mmdb([
          [`${exit}/32`, { country: { iso_code: "DE" }, autonomous_system_number: 64_496 }],
          [`${consumer}/32`, { country: { iso_code: "US" } }],
        ]),
      );
    },
    { timeoutMs: 120_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  register(
    "three peers see the exit's address, although all of them are past the kill switch; a country that is another than claimed is said and counts",
    async () => {
      const { consumer, exit, joining } = market;
      await market.startConsumer(undefined, "up", [joining.peer, "--failover", "off", "--geoip-db", database]);
      const seen = async () => (await consumer.api.call("status")).connection?.egress;
      await until(async () => (await seen()) !== undefined, 90_000);
      const { address, observers: count, country, asn, elsewhere } = (await seen()) ?? {};
      assert.deepEqual([address, count, country, asn, elsewhere], [exit.host.address, 3, "DE", 64_496, true]);
      const connected = (await consumer.api.call("status")).peers.flatMap((peer) => peer.addresses).join(" ");
      for (const name of observers) assert.ok(connected.includes(market.nodeOf(name).host.address), `${name} is not connected`);

      const said = () => readFileSync(`${joining.dataDir}/node.log`, "utf8");
      await until(() => /exit \S+ says it is in US, and traffic comes out of \S+ in DE/.test(said()), 10_000);
      const { exit: why } = await consumer.api.call("explain", { peer: joining.peer });
      assert.deepEqual([why.country?.state, why.country?.refutedBy], ["refuted", "egress"]);
      const { session } = await consumer.api.call("disconnect");
      assert.equal(session.egress?.address, exit.host.address);
      await consumer.stop();
    },
    { skip, timeoutMs: 150_000 },
  );
});
