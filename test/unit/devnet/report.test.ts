import assert from "node:assert/strict";
import { type CycleFacts, cycleFaults, cycleReport, megabits } from "../../../src/devnet/report.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { due } from "../../../src/payments/terms.ts";
import { describe } from "../../support/harness.ts";

const terms = { perGiB: 10n ** 17n, perHour: 10n ** 16n };
const bought = { bytes: 65n << 20n, ms: 10_000 };
const price = due(terms, bought);
const sound: CycleFacts = {
  service: "proxy",
  country: "US",
  exitPeer: "16Uiu2HAm",
  exitAddress: "127.0.1.1",
  addressSeen: "127.0.1.1",
  directAddress: "127.0.0.1",
  ownAddresses: true,
  payloadBytes: 64n << 20n,
  session: {
    ...terms,
    usedBytes: (64n << 20n) + 500n,
    usedMs: 4200,
    billedBytes: bought.bytes,
    billedMs: bought.ms,
    promises: 66,
    promised: price,
    carriedIn: 0n,
  },
  cleared: price,
  providerReceived: price,
  connectMs: 120.4,
  firstByteMs: 180.6,
  downloadMs: 2000,
  sources: ["gossip", "dht"],
};
const withSession = (change: Partial<CycleFacts["session"]>): CycleFacts => ({ ...sound, session: { ...sound.session, ...change } });

describe("devnet/report: a cycle adds up, or says what does not", (test) => {
  test("the report has every key, amounts as decimal strings", () => {
    const report = cycleReport(sound);
    assert.deepEqual(Object.keys(report).slice(0, 18), [
      ...["v", "service", "backend", "country", "addressSeen", "exitAddress", "directAddress", "payloadBytes", "billedBytes", "elapsedMs"],
      ...["promises", "promised", "cleared", "providerReceived", "connectMs", "firstByteMs", "mbps", "sources"],
    ]);
    assert.equal(report.promised, "6375434027777777");
    assert.equal(report.elapsedMs, 10_000);
    assert.equal(report.connectMs, 120);
    assert.equal(report.mbps, 268.4);
    assert.equal(report.backend, "none");
    assert.equal(report.billedToPayload, 1.0156);
    assert.ok(!("routerBytes" in report));
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
  });

  test("each thing that can be wrong is named", () => {
    const wrong: [CycleFacts, RegExp][] = [
      [{ ...sound, addressSeen: "127.0.1.2" }, /web server saw 127\.0\.1\.2/],
      [{ ...sound, directAddress: "127.0.1.1" }, /with the exit and without/],
      [withSession({ promised: price + 1n }), /cost 6375434027777777/],
      [withSession({ promised: price - 1n }), /cost 6375434027777777/],
      [withSession({ billedMs: 10_001 }), /10001 ms cost/],
      [withSession({ carriedIn: 1n }), /cost 6375434027777776/],
      [withSession({ usedBytes: 64n << 19n }), /were counted/],
      [withSession({ usedBytes: bought.bytes + 1n }), /bytes used/],
      [withSession({ usedMs: 10_001 }), /ms used/],
      [withSession({ usedBytes: 64n << 20n, billedBytes: (128n << 20n) + 1n }), /over a quantum more than the 67108864 used/],
      [{ ...sound, cleared: price - 1n }, /cleared 6375434027777776/],
      [{ ...sound, providerReceived: price + 1n }, /balance rose by 6375434027777778/],
      [{ ...sound, sources: [] }, /no source/],
    ];
    assert.deepEqual(cycleFaults(sound), []);
    for (const [facts, expected] of wrong) {
      assert.match(cycleFaults(facts).join("; "), expected);
      assert.throws(
        () => cycleReport(facts),
        (error) => isMystError(error, "INTERNAL") && expected.test(error.message),
      );
    }
  });

  test("through a tunnel what is bought may be for what was lost, as far as an exit does not bill that: 12 % and 256 KiB", () => {
    const most = 2n * ((((64n << 20n) + (256n << 10n)) * 100n) / 88n);
    const boughtBy = (backend: string | undefined, billedBytes: bigint) => {
      const facts = withSession({ usedBytes: 64n << 20n, billedBytes });
      return cycleFaults({ ...facts, ...(backend !== undefined && { backend }) }).join();
    };
    assert.doesNotMatch(boughtBy("kernel", most), /over a quantum/);
    assert.match(boughtBy("kernel", most + 1n), /over a quantum/);
    assert.match(boughtBy(undefined, most), /over a quantum/);
  });

  test("what the router has seen is what was used, within 3 %, and nothing outside of the tunnel", () => {
    const { usedBytes } = sound.session;
    const seen = (tunnelBytes: bigint, outsidePackets = 0, backend: string | undefined = "wireguard-go"): CycleFacts => ({
      ...sound,
      service: "wireguard",
      ...(backend !== undefined && { backend }),
      router: { tunnelBytes, outsidePackets },
    });
    const report = cycleReport(seen(usedBytes + 1n));
    assert.equal(report.routerBytes, String(usedBytes + 1n));
    assert.equal(report.outsidePackets, 0);
    assert.equal(report.backend, "wireguard-go");
    const most = (usedBytes * 100n) / 97n;
    const least = (usedBytes * 100n) / 103n;
    for (const bytes of [most, least + 1n]) assert.deepEqual(cycleFaults(seen(bytes)), [], String(bytes));
    for (const bytes of [most + 2n, least - 1n, 0n]) assert.match(cycleFaults(seen(bytes)).join(), /the router saw \d+ of the tunnel/);
    assert.match(cycleFaults(seen(usedBytes, 1)).join(), /^1 packets of the consumer went outside/);
    assert.match(cycleFaults({ ...sound, router: { tunnelBytes: usedBytes, outsidePackets: 0 } }).join(), /what carries the tunnel/);
  });

  test("money carried in from an earlier session pays first", () => {
    assert.deepEqual(
      cycleFaults({ ...withSession({ carriedIn: 5n, promised: price - 5n }), cleared: price - 5n, providerReceived: price - 5n }),
      [],
    );
    assert.deepEqual(cycleFaults({ ...withSession({ carriedIn: price + 1n, promised: 0n }), cleared: 0n, providerReceived: 0n }), []);
  });

  test("where loopback has one address only, the addresses say nothing", () => {
    const shared = { ...sound, ownAddresses: false, addressSeen: "127.0.0.1", exitAddress: "127.0.0.1" };
    assert.deepEqual(cycleFaults(shared), []);
  });

  test("speed of nothing is nothing", () => {
    assert.equal(megabits(100n, 0), 0);
    assert.equal(megabits(125_000n, 1000), 1);
  });
});
