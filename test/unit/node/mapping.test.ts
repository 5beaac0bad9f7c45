import assert from "node:assert/strict";
import { systemClock as clock } from "../../../src/lib/clock.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { silentLogger as log } from "../../../src/lib/ports.ts";
import type { Reach } from "../../../src/network/dial-back.ts";
import type { Mapper, Mapping, Port } from "../../../src/network/mapping/mapper.ts";
import type { HostPort } from "../../../src/network/own-addresses.ts";
import { judgeMapping, openMapping, placeToMap } from "../../../src/node/mapping.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";

const outside = "45.9.8.7";
const lan = { gateway: "192.168.1.1", address: "192.168.1.9" };
const mapping: Mapping = {
  ...{ by: "upnp", lan, outside },
  ports: [
    { protocol: "tcp", port: 4480, outside: 4481 },
    { protocol: "udp", port: 51_820, outside: 51_000 },
  ],
};

/** A node behind a router that does as told, with what it announces. */
function node(renew: Mapper["renew"], reach: (least?: number) => Reach, times?: Parameters<typeof openMapping>[1]) {
  const announced = new Set<string>();
  const wanted: unknown[] = [];
  let released = 0;
  const deps = {
    network: {
      listening: () => ["/ip4/127.0.0.1/tcp/4480", "/ip4/192.168.1.9/tcp/4480"],
      announce: (own: HostPort, to: HostPort) => {
        const text = `${own.host}:${own.port} ${to.host}:${to.port}`;
        announced.add(text);
        return () => void announced.delete(text);
      },
      reach: async (_: number, __: AbortSignal, least?: number) => reach(least),
    },
    mapper: {
      renew: (ports: Port[], signal: AbortSignal) => {
        wanted.push(ports);
        return renew(ports, signal);
      },
      release: async () => {
        released += 1;
      },
    },
    ...{ clock, log },
  };
  const made = openMapping(deps, times);
  return { made, announced, wanted, released: () => released };
}

describe("node/mapping", (test) => {
  test("what is mapped: the port that is listened on in the local network, unless there is a public address or nothing but loopback", () => {
    const mixed = ["/ip4/127.0.0.1/tcp/4480", "/ip4/192.168.1.9/tcp/4481", "/ip6/fd00::2/tcp/4480"];
    assert.deepEqual(placeToMap(mixed), { host: "192.168.1.9", port: 4481 });
    assert.equal(placeToMap(["/ip4/127.0.0.1/tcp/4480"]), undefined);
    assert.equal(placeToMap(["/ip4/192.168.1.9/tcp/4480", "/ip4/45.1.0.2/tcp/4480"]), undefined);
    assert.equal(placeToMap([]), undefined);
  });

  test("a router's word is good once peers see us at its address, and one has come in", () => {
    const leads = (reach: Reach) => judgeMapping({ outside }, reach).leads;
    assert.equal(leads({ reached: "yes", seen: outside }), true);
    assert.equal(leads({ reached: "yes", seen: "45.1.1.1" }), false);
    assert.equal(leads({ reached: "no", seen: outside }), undefined);
    assert.equal(leads({ reached: "unknown" }), undefined);
  });

  test("both ports are announced together, at the router's address and ports, and taken back at the end", async () => {
    const { made, announced, wanted, released } = node(
      async () => mapping,
      () => ({ reached: "yes", seen: outside }),
    );
    assert.equal(made.endpoint(), undefined);
    made.start(51_820);
    await until(() => made.view()?.state === "announced");
    const both = [
      { protocol: "tcp", port: 4480 },
      { protocol: "udp", port: 51_820 },
    ];
    assert.deepEqual(wanted, [both]);
    assert.deepEqual([...announced], ["192.168.1.9:4480 45.9.8.7:4481"]);
    assert.deepEqual(made.endpoint(), { host: outside, port: 51_000 });
    await made[Symbol.asyncDispose]();
    assert.deepEqual([announced.size, made.endpoint(), released()], [0, undefined, 1]);
  });

  test("nothing is announced by a router that leads nowhere, and what it maps is taken back at once", async () => {
    const { made, announced, released } = node(
      async () => mapping,
      () => ({ reached: "yes", seen: "45.1.1.1" }),
    );
    made.start(51_820);
    await until(() => /another NAT/.test(made.view()?.why ?? ""));
    assert.deepEqual([announced.size, made.endpoint(), released(), made.view()?.state], [0, undefined, 1, "none"]);
    await made[Symbol.asyncDispose]();
  });

  test("peers are asked again until there are some", async () => {
    let peers = 0;
    const { made, announced } = node(
      async () => mapping,
      () => {
        peers += 1;
        return peers > 1 ? { reached: "yes", seen: outside } : { reached: "unknown" };
      },
    );
    made.start(undefined);
    await until(() => made.view()?.state === "mapped");
    assert.equal(announced.size, 0);
    await until(() => made.view()?.state === "announced", 10_000);
    await made[Symbol.asyncDispose]();
  });

  test("what is announced is tried again, and stays on one peer's word against it; two take it back", async () => {
    let networks = 1;
    const { made, announced } = node(
      async () => mapping,
      (least = 2) => {
        if (networks === 0) return { reached: "yes", seen: outside };
        return { reached: networks >= least ? "no" : "unknown", seen: outside };
      },
      { renewMs: 20, soonMs: 20, goodMs: 0 },
    );
    networks = 0;
    made.start(51_820);
    await until(() => made.view()?.state === "announced");
    networks = 1;
    await new Promise((done) => setTimeout(done, 200));
    assert.equal(announced.size, 1);
    networks = 2;
    await until(() => made.view()?.state === "mapped");
    assert.deepEqual([announced.size, made.endpoint()], [0, undefined]);
    networks = 1;
    await new Promise((done) => setTimeout(done, 100));
    assert.equal(announced.size, 0, "nor does one bring it back");
    await made[Symbol.asyncDispose]();
  });

  test("a port that leads here although the router maps nothing is announced, where there is no tunnel's beside it", async () => {
    const refusing = async () => {
      throw new MystError("PEER_REFUSED", "the router maps no ports");
    };
    let leads = true;
    const found = (): Reach => (leads ? { reached: "yes", seen: outside } : { reached: "no", seen: outside });
    const proxy = node(refusing, found);
    proxy.made.start(undefined);
    await until(() => proxy.made.view()?.state === "announced");
    assert.deepEqual([proxy.made.view()?.by, ...proxy.announced], ["hand", "192.168.1.9:4480 45.9.8.7:4480"]);
    await proxy.made[Symbol.asyncDispose]();
    assert.equal(proxy.announced.size, 0);
    leads = false;
    const closed = node(refusing, found);
    closed.made.start(undefined);
    await until(() => closed.made.view()?.why === "the router maps no ports");
    assert.equal(closed.announced.size, 0);
    await closed.made[Symbol.asyncDispose]();
  });

  test("why a router maps nothing is told", async () => {
    const { made, announced } = node(
      async () => {
        throw new MystError("PEER_REFUSED", "the router maps no ports");
      },
      () => ({ reached: "yes", seen: outside }),
    );
    made.start(51_820);
    await until(() => made.view()?.why === "the router maps no ports");
    assert.deepEqual([made.view()?.state, announced.size], ["none", 0]);
    await made[Symbol.asyncDispose]();
  });
});
