import assert from "node:assert/strict";
import type { KadDHT } from "@libp2p/kad-dht";
import { silentLogger } from "../../../src/lib/ports.ts";
import { createDht } from "../../../src/network/dht.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock } from "../../support/simulation/clock.ts";

const minute = 60_000;

/** A record that is being placed, with a table of `holders`; `come` is a connection. */
async function place(holders: string[], copies = 1) {
  const clock = createVirtualClock();
  const listeners = new Set<(peer: string) => void>();
  let placed = 0;
  const dht = {
    async *provide() {
      placed += 1;
      for (let copy = 0; copy < copies; copy++) yield { name: "PEER_RESPONSE", messageName: "ADD_PROVIDER" };
    },
    cancelReprovide: async () => undefined,
    routingTable: { size: 1, kb: { closest: () => holders } },
  };
  const onConnect = (listener: (peer: string) => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const stop = new AbortController();
  const { provide } = createDht({ dht: dht as unknown as KadDHT, onConnect, log: silentLogger, clock });
  const work = provide(Uint8Array.of(1), stop.signal);
  await clock.pass(0);
  return {
    clock,
    placed: () => placed,
    come: (peer: string) => {
      for (const listener of listeners) listener(peer);
    },
    end: async () => {
      stop.abort();
      await clock.pass(1);
      await work;
      assert.equal(listeners.size, 0, "somebody still listens");
    },
  };
}

describe("network/dht: placing a record", (test) => {
  test("it is placed again soon after one has come that is to hold it", async () => {
    const at = await place(["holder"]);
    assert.equal(at.placed(), 1);
    at.come("holder");
    await at.clock.pass(minute);
    assert.equal(at.placed(), 2);
    await at.end();
  });

  test("who comes and holds nothing does not make it be placed again, nor hides one who does", async () => {
    const at = await place(["holder"]);
    for (let count = 0; count < 20; count++) {
      at.come(`consumer ${count}`);
      await at.clock.pass(15_000);
    }
    assert.equal(at.placed(), 1);
    at.come("consumer");
    at.come("holder");
    await at.clock.pass(minute);
    assert.equal(at.placed(), 2);
    await at.end();
  });

  test("where many hold it nobody who comes is waited for, and it is renewed in time", async () => {
    const at = await place(["holder"], 10);
    at.come("holder");
    await at.clock.pass(9 * minute);
    assert.equal(at.placed(), 1);
    await at.clock.pass(minute);
    assert.equal(at.placed(), 2);
    await at.end();
  });

  test("on an empty table a query waits for the first peer in it", async () => {
    const table = Object.assign(new EventTarget(), { size: 0 });
    let asked = 0;
    const dht = {
      routingTable: table,
      async *findProviders() {
        asked += 1;
        yield { name: "PROVIDER", providers: [{ id: "exit", multiaddrs: [] }] };
      },
    };
    const clock = createVirtualClock();
    const { findProviders } = createDht({ dht: dht as unknown as KadDHT, onConnect: () => () => undefined, log: silentLogger, clock });
    const found = findProviders(Uint8Array.of(1), new AbortController().signal);
    const first = found[Symbol.asyncIterator]().next();
    await clock.pass(10);
    assert.equal(asked, 0);
    table.dispatchEvent(new Event("peer:add"));
    assert.deepEqual(await first, { done: false, value: { peer: "exit", addresses: [] } });
    for await (const _ of findProviders(Uint8Array.of(1), AbortSignal.abort())) assert.fail("something was found on an empty table");
  });

  test("one at a time, also where the one before fails", async () => {
    const clock = createVirtualClock();
    const open: PromiseWithResolvers<void>[] = [];
    const dht = {
      async *provide() {
        const one = Promise.withResolvers<void>();
        open.push(one);
        await one.promise;
        yield* [];
      },
      cancelReprovide: async () => undefined,
      routingTable: { size: 1 },
    };
    const stop = new AbortController();
    const { provide } = createDht({ dht: dht as unknown as KadDHT, onConnect: () => () => undefined, log: silentLogger, clock });
    const work = [1, 2].map((byte) => provide(Uint8Array.of(byte), stop.signal));
    await clock.pass(10);
    assert.equal(open.length, 1);
    open[0]?.reject(new Error("nobody answers"));
    await clock.pass(10);
    assert.equal(open.length, 2);
    stop.abort();
    open[1]?.resolve();
    await clock.pass(1);
    await Promise.all(work);
  });
});
