import assert from "node:assert/strict";
import { isMystError, MystError } from "../../../../src/lib/errors.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { readConnection, requestOf } from "../../../../src/services/wireguard/handshake.ts";
import { openWireguardProvider, type WireguardProviderOptions } from "../../../../src/services/wireguard/provider.ts";
import { fakeHelper, newKey } from "../../../support/fake-helper.ts";
import { describe } from "../../../support/harness.ts";

const KiB = 1024n;
const code = (expected: string) => (error: unknown) => isMystError(error, expected as MystError["code"]);

async function opened(options: Partial<WireguardProviderOptions> = {}) {
  const fake = fakeHelper();
  const dns: string[] = [];
  let nowMs = 1_000;
  const provider = await openWireguardProvider(
    {
      helper: fake.helper,
      log: silentLogger,
      clock: { nowMs: () => nowMs },
      serveDns: async (gateway) => {
        dns.push(`open ${gateway}`);
        return { [Symbol.asyncDispose]: async () => void dns.push("close") };
      },
      servePaths: async () => ({ [Symbol.asyncDispose]: async () => undefined }),
    },
    { listenPort: 51_820, allow: [], block: [], ...options },
  );
  let sessions = 0;
  const admit = (key = newKey()) => {
    sessions += 1;
    return provider.admit({ sessionId: String(sessions), peer: "a peer", request: requestOf({ publicKey: key }) });
  };
  return {
    fake,
    dns,
    provider,
    admit,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("wireguard/provider: who is admitted", (test) => {
  test("has a tunnel, names and all, before it can be offered; and takes both away at the end", async () => {
    const { fake, dns, provider, admit } = await opened({ egressIf: "eth1", allow: ["127.0.0.1:80"] });
    assert.equal(provider.kind, "wireguard");
    assert.match(provider.policySummary(), /public addresses only.*1 excepted/);
    assert.deepEqual(fake.configs.exit, { listenPort: 51_820, allow: ["127.0.0.1:80"], block: [], egressIf: "eth1", mtu: 1420 });
    assert.deepEqual(dns, ["open 10.182.0.1"]);
    const key = newKey();
    await admit(key);
    await provider[Symbol.asyncDispose]();
    assert.deepEqual(fake.calls, ["openExit", `admit ${key}`, `dismiss ${key}`, "closeExit"]);
    assert.deepEqual(dns, ["open 10.182.0.1", "close"]);
  });

  test("leaves no tunnel behind where names cannot be served", async () => {
    const fake = fakeHelper();
    const serveDns = async () => {
      throw new MystError("TUNNEL_FAILED", "the port is taken");
    };
    const deps = { helper: fake.helper, log: silentLogger, clock: { nowMs: () => 0 }, serveDns, servePaths: serveDns };
    await assert.rejects(openWireguardProvider(deps, { listenPort: 0, allow: [], block: [] }), code("TUNNEL_FAILED"));
    assert.deepEqual(fake.calls, ["openExit", "closeExit"]);
  });

  test("is told all that it needs: the address that it reached us at is enough, unless there is another", async () => {
    const { admit } = await opened();
    const plain = readConnection((await admit()).connection);
    const { publicKey: _, ...rest } = plain;
    assert.deepEqual(rest, { port: 51_820, address: "10.182.0.2", dns: "10.182.0.1", mtu: 1420 });
    const { admit: elsewhere } = await opened({ endpoint: { host: "203.0.113.9", port: 443 } });
    const named = readConnection((await elsewhere()).connection);
    assert.deepEqual([named.host, named.port], ["203.0.113.9", 443]);
  });

  test("asks with a key of 32 bytes and with nothing else", async () => {
    const { provider, fake } = await opened();
    const key = new Uint8Array(32).fill(1);
    const bad = [
      undefined,
      {},
      { key: key.subarray(1) },
      { key: new Uint8Array(33).fill(1) },
      { key: new Uint8Array(32) },
      { key: "a" },
      { key, port: 1 },
    ];
    for (const request of bad)
      await assert.rejects(provider.admit({ sessionId: "1", peer: "a", ...(request && { request: request as never }) }), code("MALFORMED"));
    assert.deepEqual(fake.calls, ["openExit"]);
  });

  test("has one tunnel a session and one session a key; a place that is given up is free again", async () => {
    const { provider, admit } = await opened();
    const key = newKey();
    const grant = await admit(key);
    await assert.rejects(admit(key), code("PEER_REFUSED"));
    await assert.rejects(
      provider.admit({ sessionId: "1", peer: "a peer", request: requestOf({ publicKey: newKey() }) }),
      code("PEER_REFUSED"),
    );
    await grant.end();
    await admit(key);
    await assert.rejects(admit(), code("EXIT_FULL"));
  });
});

describe("wireguard/provider: what is carried", (test) => {
  test("credit is what is paid, for as long as it is paid", async () => {
    const { fake, admit, pass } = await opened();
    const key = newKey();
    const grant = await admit(key);
    grant.allow(1_000n, 5_000);
    assert.deepEqual(fake.credits.at(-1), { key, credit: { totalBytes: 1_000n, forMs: 5_000 } });
    pass(2_000);
    grant.suspend();
    assert.deepEqual(fake.credits.at(-1)?.credit, { totalBytes: 1_000n, forMs: 0 });
    grant.allow(2_000n);
    assert.ok((fake.credits.at(-1)?.credit.forMs ?? 0) > 86_400_000, "a price of 0 per hour limits no time");
  });

  test("bytes are used when they have come from the client, or have reached it by its own word", async () => {
    const { fake, admit } = await opened();
    const key = newKey();
    const grant = await admit(key);
    fake.count(100n, 50n * KiB, key);
    assert.equal(grant.usedBytes(), 100n);
    grant.acknowledge?.(40n * KiB);
    assert.equal(grant.usedBytes(), 100n + 40n * KiB);
    fake.count(200n, 60n * KiB, key);
    grant.acknowledge?.(60n * KiB);
    assert.equal(await grant.end(), 200n + 60n * KiB);
    assert.equal(grant.usedBytes(), 200n + 60n * KiB);
  });

  test("what is lost on the way is given again, while the time is paid for", async () => {
    const { fake, admit, pass } = await opened();
    const key = newKey();
    const grant = await admit(key);
    grant.allow(1_000n * KiB, 60_000);
    for (let i = 0; i < 3; i += 1) {
      fake.count(0n, 1_000n * KiB, key);
      grant.acknowledge?.(970n * KiB);
      pass(2_500);
    }
    assert.equal(fake.credits.at(-1)?.credit.totalBytes, 1_030n * KiB);
    const before = fake.credits.length;
    grant.acknowledge?.(970n * KiB);
    assert.equal(fake.credits.length, before, "nothing is set that has not changed");
  });

  test("who waits for an answer is seen to wait, and a keepalive asks for nothing", async () => {
    const { fake, admit, pass } = await opened();
    const key = newKey();
    const grant = await admit(key);
    fake.count(32n, 0n, key);
    assert.equal(grant.unanswered().nowMs, 0);
    fake.count(200n, 0n, key);
    grant.usedBytes();
    pass(3_000);
    assert.equal(grant.unanswered().nowMs, 3_000);
    fake.count(200n, 400n, key);
    assert.equal(grant.unanswered().nowMs, 0);
  });

  test("an end that fails gives the key and the place back all the same", async () => {
    const { fake, admit } = await opened();
    const key = newKey();
    const grant = await admit(key);
    fake.fail(new MystError("TUNNEL_FAILED", "the helper has ended"));
    await assert.rejects(grant.end(), code("TUNNEL_FAILED"));
    fake.fail(undefined);
    await admit(key);
  });
});
