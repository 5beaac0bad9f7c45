import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allSources, type DiscoverySource } from "../../../src/discovery/discovery.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { describe } from "../../support/harness.ts";
import { isConnected, soon, until } from "../support.ts";
import { content, networkConfig, startTrader, type Trader } from "./market.ts";

/** five libp2p peers in one process: seconds of computing on a busy machine */
const timeoutMs = 90_000;
const prices = { US: 300n, DE: 200n, JP: 100n };

/** A bootstrap peer and an exit in each country that know only it. */
async function startMarket(options: Parameters<typeof startTrader>[0] = {}) {
  const boot = await startTrader(options);
  const exits = await Promise.all(
    Object.entries(prices).map(async ([country, price]) => {
      const exit = await startTrader({ bootstrap: boot.network.addresses(), ...options });
      // as in life: whoever is connected has looked before there was anything to see
      await until("the exit is connected", () => isConnected(exit, boot) && isConnected(boot, exit));
      await exit.discovery.announce(content(country, price));
      return exit;
    }),
  );
  const close = async () => {
    for (const trader of [...exits, boot]) await trader[Symbol.asyncDispose]();
  };
  return { boot, exits, [Symbol.asyncDispose]: close };
}
const startConsumer = (boot: Trader, options: Parameters<typeof startTrader>[0] = {}) =>
  startTrader({ listen: [], bootstrap: boot.network.addresses(), ...options });
const countries = (trader: Trader) => trader.discovery.offers().map(({ offer }) => offer.country);

describe("discovery: sources", (test) => {
  for (const source of ["gossip", "snapshot", "dht"] as DiscoverySource[])
    test(
      `${source} alone finds the exit, for a consumer that comes late and knows one peer; all of the market using ${source} only`,
      async () => {
        const only = { sources: [source], gossip: source === "gossip", dht: source === "dht" };
        await using market = await startMarket(only);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        await using consumer = await startConsumer(market.boot, only);
        const found = await consumer.discovery.search({ country: "US", service: "proxy" }, soon(30_000));
        const [exit] = market.exits as [Trader];
        assert.deepEqual(
          found.map(({ offer, sources }) => [offer.peer, sources]),
          [[exit.network.peerId, [source]]],
        );
      },
      { timeoutMs },
    );

  for (const source of ["gossip", "snapshot", "dht"] as DiscoverySource[])
    test(
      `a consumer with ${source} only learns nothing in any other way, from a market that uses all`,
      async () => {
        await using market = await startMarket();
        await until("the market has settled", () => countries(market.boot).length === 3);
        await using consumer = await startConsumer(market.boot, { sources: [source] });
        for await (const { offer } of consumer.discovery.find({ country: "DE" }, soon(30_000))) {
          assert.equal(offer.country, "DE");
          break;
        }
        const [exit, ...rest] = market.exits as [Trader, Trader];
        // news goes round in all ways while it is connected to several of them
        await Promise.all([exit, ...rest].map(({ network }) => consumer.network.connect(network.peerId, network.addresses(), soon())));
        await exit.discovery.announce(content("US", 301n));
        await until(
          "the news is round",
          () => market.boot.discovery.offers({ country: "US" })[0]?.offer.services[0]?.perGiB === 301n,
          20_000,
        );
        await new Promise((resolve) => setTimeout(resolve, 300));
        for (const { sources } of consumer.discovery.offers()) assert.deepEqual(sources, [source]);
        if (source === "dht") assert.deepEqual(countries(consumer), ["DE"]);
      },
      { timeoutMs },
    );

  test(
    "all ways together: every exit, the cheapest first, and each with where it is from",
    async () => {
      await using market = await startMarket();
      await using consumer = await startConsumer(market.boot);
      const told: string[] = [];
      consumer.discovery.onOffer(({ offer }, source) => told.push(`${offer.country} ${source}`));
      await consumer.discovery.search({}, soon(30_000));
      await until("it knows all", () => countries(consumer).length === 3);
      assert.deepEqual(countries(consumer), ["JP", "DE", "US"]);
      for (const { offer, sources } of consumer.discovery.offers()) assert.ok(told.includes(`${offer.country} ${sources[0]}`));
      assert.deepEqual(await consumer.discovery.search({ country: "FR" }, AbortSignal.timeout(300)), []);
    },
    { timeoutMs },
  );

  test(
    "an exit that stops is dropped by all, and one that changes its price is heard",
    async () => {
      await using boot = await startTrader();
      await using consumer = await startConsumer(boot);
      const exit = await startTrader({ bootstrap: boot.network.addresses() });
      await exit.discovery.announce(content("US", 5n));
      await until("it is known", () => countries(boot).length === 1);
      await until("it is known by who came before it", () => countries(consumer).length === 1);
      await exit.discovery.announce(content("US", 6n));
      await until("the new price is known", () => consumer.discovery.offers()[0]?.offer.services[0]?.perGiB === 6n, 20_000);
      await exit[Symbol.asyncDispose]();
      await until("it is gone", () => countries(consumer).length === 0 && countries(boot).length === 0);
    },
    { timeoutMs },
  );

  test(
    "what was found is known after a restart, without anybody",
    async () => {
      const directory = await mkdtemp(join(tmpdir(), "mystnode-net-"));
      try {
        {
          await using market = await startMarket();
          const consumer = await startConsumer(market.boot, { directory, keep: true });
          await until("it knows all", () => countries(consumer).length === 3);
          await consumer[Symbol.asyncDispose]();
        }
        await using again = await startTrader({ listen: [], directory });
        assert.deepEqual(countries(again), ["JP", "DE", "US"]);
        assert.equal((await again.discovery.search({ country: "DE" }, soon())).length, 1);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
    { timeoutMs },
  );

  test(
    "a node that ran before finds an exit by asking it, when all offers have expired and every bootstrap peer is dead",
    async () => {
      const directory = await mkdtemp(join(tmpdir(), "mystnode-net-"));
      let aheadMs = 0;
      const clock = { ...systemClock, nowMs: () => Date.now() + aheadMs };
      try {
        const boot = await startTrader({ clock });
        const bootstrap = boot.network.addresses();
        await using exit = await startTrader({ clock, bootstrap });
        await exit.discovery.announce(content("US"));
        {
          const consumer = await startTrader({ clock, bootstrap, listen: [], directory, keep: true });
          await until("it knows the exit", () => countries(consumer).length === 1);
          await consumer[Symbol.asyncDispose]();
        }
        await boot[Symbol.asyncDispose]();
        aheadMs = 3_600_000;
        await exit.discovery.announce(content("US", 7n));
        const strange = await startTrader({ clock, bootstrap, listen: [] });
        assert.deepEqual(await strange.discovery.search({}, AbortSignal.timeout(2000)), [], "without having run before");
        await strange[Symbol.asyncDispose]();
        const only = { sources: ["cache" as const], gossip: false, dht: false };
        await using again = await startTrader({ clock, bootstrap, listen: [], directory, ...only });
        assert.deepEqual(countries(again), []);
        const [found] = await again.discovery.search({ country: "US" }, soon());
        assert.deepEqual([found?.offer.services[0]?.perGiB, found?.sources], [7n, ["cache"]]);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
    { timeoutMs },
  );

  // by gossip alone only those are heard at once that have not said so a moment ago
  for (const sources of [["snapshot"], ["dht"], allSources] as DiscoverySource[][])
    test(
      `a cold consumer that knows one peer finds every exit of a country by ${sources.join(", ")}`,
      async () => {
        await using boot = await startTrader();
        await using exits = new AsyncDisposableStack();
        const peers = new Set<string>();
        for (let count = 0; count < 6; count++) {
          const exit = exits.use(await startTrader({ bootstrap: boot.network.addresses() }));
          if (count < 5) peers.add(exit.network.peerId);
          await exit.discovery.announce(content(count < 5 ? "DE" : "US", BigInt(count)));
        }
        await until("the market has settled", () => countries(boot).length === 6);
        await using consumer = await startConsumer(boot, { sources });
        const found = new Set<string>();
        for await (const { offer } of consumer.discovery.sweep({ country: "DE" }, soon(30_000))) found.add(offer.peer);
        assert.deepEqual(found, peers);
      },
      { timeoutMs },
    );

  test(
    "offers of another contract are none, even between peers that are connected",
    async () => {
      const elsewhere = { ...networkConfig, chainId: 1 };
      await using boot = await startTrader();
      await using stranger = await startTrader({ bootstrap: boot.network.addresses(), networkConfig: elsewhere });
      await stranger.discovery.announce(content("US"));
      await using consumer = await startConsumer(boot);
      assert.deepEqual(await consumer.discovery.search({}, AbortSignal.timeout(2000)), []);
      assert.deepEqual(countries(boot), []);
    },
    { timeoutMs },
  );
});
