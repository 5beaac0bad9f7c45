import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:http";
import { isMystError } from "../../../src/lib/errors.ts";
import { createMapper } from "../../../src/network/mapping/mapper.ts";
import { findRouter } from "../../../src/network/mapping/router.ts";
import { describe } from "../../support/harness.ts";
import { type HomeRouterOptions, startHomeRouter } from "../../support/home-router.ts";

const lan = { gateway: "127.0.0.2", address: "127.0.0.1" };
const outside = "45.9.8.7";
const both = [
  { protocol: "tcp", port: 4480 },
  { protocol: "udp", port: 51_820 },
] as const;
const leaseMs = 1_200_000;
const soon = () => AbortSignal.timeout(20_000);
let base = 21_000;

/** A router on loopback, and what one behind it finds. */
async function home(options: Partial<HomeRouterOptions> = {}) {
  const ports = { pmp: base, ssdp: base + 1, againMs: 25 };
  base += 2;
  const router = await startHomeRouter({ address: lan.gateway, outside, speaks: ["upnp"], ports, ...options });
  const find = () => findRouter(lan, soon(), ports);
  const mapper = createMapper({ findLan: async () => lan, findRouter: (where, signal) => findRouter(where, signal, ports) });
  return { router, ports, find, mapper, [Symbol.asyncDispose]: () => router[Symbol.asyncDispose]() };
}
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "none",
    (error) => (isMystError(error) ? error.code : String(error)),
  );

describe("network/mapping: the router's ports, by real sockets", (test) => {
  for (const speaks of ["upnp", "pmp"] as const)
    test(`${speaks}: both ports are mapped with a lease, renewed as they are, and taken back`, async () => {
      await using at = await home({ speaks: [speaks] });
      const made = await at.mapper.renew([...both], soon());
      assert.deepEqual(made, {
        by: speaks === "pmp" ? "nat-pmp" : "upnp",
        lan,
        outside,
        ports: both.map((one) => ({ ...one, outside: one.port })),
      });
      const own = { client: lan.address, lease: leaseMs / 1000 };
      const wanted = both.map((one) => ({ ...one, outside: one.port, ...own }));
      const forwards = () =>
        [...at.router.forwards.values()].map(({ protocol, outside: to, client, port, lease }) => ({
          protocol,
          port,
          outside: to,
          client,
          lease,
        }));
      assert.deepEqual(forwards(), wanted);
      assert.deepEqual(await at.mapper.renew([...both], soon()), made);
      assert.deepEqual(forwards(), wanted);
      await at.mapper.release();
      assert.deepEqual(forwards(), []);
    });

  for (const igd of [1, 2] as const)
    test(`a gateway of the standard's version ${igd} is found`, async () => {
      await using at = await home({ igd });
      assert.equal(await (await at.find()).externalAddress(soon()), outside);
    });

  for (const speaks of ["upnp", "pmp"] as const)
    test(`${speaks}: a port of the router that is taken gives way to another, and renewing keeps that`, async () => {
      await using at = await home({ speaks: [speaks], taken: [51_820] });
      const { ports } = await at.mapper.renew([...both], soon());
      assert.equal(ports[0]?.outside, 4480);
      assert.notEqual(ports[1]?.outside, 51_820);
      assert.deepEqual((await at.mapper.renew([...both], soon())).ports, ports);
    });

  test("a router that maps for ever alone does so, and is told at the end", async () => {
    await using at = await home({ onlyForEver: true });
    await at.mapper.renew([...both], soon());
    assert.deepEqual(
      [...at.router.forwards.values()].map(({ lease }) => lease),
      [0, 0],
    );
    await at.mapper.release();
    assert.equal(at.router.forwards.size, 0);
  });

  for (const speaks of ["upnp", "pmp"] as const)
    test(`${speaks}: where one of both is refused neither stays mapped`, async () => {
      await using at = await home({ speaks: [speaks], refuses: "udp" });
      assert.equal(await codeOf(at.mapper.renew([...both], soon())), "PEER_REFUSED");
      assert.equal(at.router.forwards.size, 0);
      assert.equal((await at.mapper.renew([both[0]], soon())).ports.length, 1, "the other alone is");
    });

  for (const inside of ["192.168.1.7", "100.64.3.4", "0.0.0.0"])
    test(`nothing is mapped by a router that is behind another NAT itself, at ${inside}`, async () => {
      await using at = await home({ outside: inside });
      await assert.rejects(at.mapper.renew([...both], soon()), /not public/);
      assert.equal(at.router.forwards.size, 0);
    });

  test("who answers a search from another address than the gateway's is not asked anything", async () => {
    await using at = await home({ lies: { from: "127.0.0.9" } });
    assert.equal(await codeOf(at.find()), "PEER_REFUSED");
    assert.deepEqual(at.router.asked, []);
  });

  test("a gateway that names another host, for its description or for what it is commanded by, has nobody else asked", async () => {
    const heard: string[] = [];
    const other = createServer((request, response) => {
      heard.push(request.url ?? "");
      response.end("<root/>");
    }).listen(0, "127.0.0.9");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    try {
      const place = `http://127.0.0.9:${port}/x`;
      for (const lies of [
        { location: place },
        { control: place },
        { location: "file:///etc/passwd" },
        { control: "http://127.0.0.2@127.0.0.9/" },
      ]) {
        await using at = await home({ lies });
        assert.equal(await codeOf(at.find()), "PEER_REFUSED", JSON.stringify(lies));
      }
      assert.deepEqual(heard, []);
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });

  const deep = "<a>".repeat(15_000);
  const bodies: Record<string, string> = {
    "no XML": "hello",
    nothing: "",
    "one that nests deep": `${deep}${"</a>".repeat(15_000)}`.slice(0, 65_000),
    "one that nests services in services": `<root>${"<service><serviceType>x</serviceType>".repeat(900)}${"</service>".repeat(900)}</root>`,
    "more than 64 KiB": `<r><NewExternalIPAddress>45.9.8.7</NewExternalIPAddress>${" ".repeat(70_000)}</r>`,
    "entities that grow": `<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><r><NewExternalIPAddress>&b;</NewExternalIPAddress></r>`,
    "an address that is none": "<r><NewExternalIPAddress>1.2.3.4/../x</NewExternalIPAddress></r>",
  };
  for (const [what, text] of Object.entries(bodies))
    test(`a router that answers ${what} is one that maps nothing`, async () => {
      {
        await using at = await home({ lies: { description: text } });
        assert.equal(await codeOf(at.find()), "PEER_REFUSED");
      }
      await using at = await home({ lies: { body: text } });
      assert.match(await codeOf((await at.find()).externalAddress(soon())), /^(MALFORMED|PEER_REFUSED)$/);
    });

  for (const bytes of [[], [0], [0, 128], [0, 128, 0, 0], [1, 128, 0, 0, 0, 0, 0, 0, 45, 9, 8, 7], [0, 129, 0, 0, 0, 0, 0, 0, 45, 9, 8, 7]])
    test(`NAT-PMP: ${bytes.length} bytes that are no answer (${bytes.slice(0, 2)}) are none`, async () => {
      await using at = await home({ speaks: ["pmp"], lies: { pmp: Buffer.from(bytes) } });
      assert.equal(await codeOf(at.find()), "PEER_REFUSED");
    });

  test("NAT-PMP: what comes from elsewhere than the gateway's port never reaches us", async () => {
    await using at = await home({ speaks: [] });
    const gateway = createSocket("udp4");
    const stranger = createSocket("udp4");
    gateway.bind(at.ports.pmp, lan.gateway);
    stranger.bind(0, "127.0.0.9");
    await Promise.all([once(gateway, "listening"), once(stranger, "listening")]);
    const forged = Buffer.from([0, 128, 0, 0, 0, 0, 0, 0, 6, 6, 6, 6]);
    const real = Buffer.from([0, 128, 0, 0, 0, 0, 0, 0, 45, 9, 8, 7]);
    let times = 0;
    gateway.on("message", (_, from) => {
      times += 1;
      stranger.send(forged, from.port, from.address, () => times > 1 && gateway.send(real, from.port, from.address));
    });
    try {
      const router = await at.find();
      assert.equal(await router.externalAddress(soon()), outside);
      assert.ok(times >= 2, "the stranger had answered first");
    } finally {
      gateway.close();
      stranger.close();
    }
  });
});
