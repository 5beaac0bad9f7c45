import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { type DevnetState, renderView } from "../../../src/devnet/view.ts";
import { describe } from "../../support/harness.ts";

const unit = { symbol: "MYST", decimals: 18 };
const myst = 10n ** 18n;
const full: DevnetState = {
  elapsedMs: 12_345,
  unit,
  chain: { chainId: 31337, block: 42 },
  peers: [
    { name: "bootstrap", state: "up", peers: 4 },
    {
      name: "exit-us",
      state: "up",
      country: "US",
      egress: "127.0.1.1",
      perGiB: myst / 10n,
      perHour: myst / 100n,
      peers: 4,
      sessions: 1,
      balance: 0n,
    },
    { name: "exit-de", state: "starting", country: "DE", egress: "127.0.1.2" },
    { name: "consumer", state: "ended", balance: 123_456n * myst + 1n },
  ],
  session: {
    country: "US",
    peer: "16Uiu2HAmSomePeerAbCdEf",
    state: "ACTIVE",
    perGiB: myst / 10n,
    perHour: myst / 100n,
    billedBytes: 65n << 20n,
    billedMs: 10_000,
    promises: 66,
    promised: 6_375_434_027_777_777n,
    budget: myst,
    cleared: 6_375_434_027_777_777n,
  },
  download: { doneBytes: 48 << 20, totalBytes: 64 << 20, mbps: 312.4 },
  steps: [{ atMs: 900, text: "a chain of our own, with the contract and a token on it" }],
};
const plain = (state: DevnetState, width = 80) => renderView(state, { width, color: false });

describe("devnet/view: the live view", (test) => {
  test("says who there is, on what terms, what was bought, promised and cleared", () => {
    const text = plain(full).join("\n");
    for (const part of ["chain 31337 · block 42", "exit-us", "127.0.1.1", "0.1 MYST per GiB", "…AbCdEf", "active", "65.0 MiB and 10.0 s"])
      assert.ok(text.includes(part), `${part} in\n${text}`);
    assert.match(text, /0\.006375434 MYST in 66 promises of at most 1 MYST/);
    assert.match(text, /cleared +0\.006375434 MYST on chain/);
    assert.match(text, /48\.0 MiB of 64\.0 MiB {2}312 Mbit\/s/);
  });

  test("shows the tunnel as the router sees it, where there is one", () => {
    const tunnel = { backend: "wireguard-go", routerBytes: 66n << 20n, outsidePackets: 0 };
    assert.match(plain({ ...full, tunnel }).join("\n"), /tunnel +wireguard-go; the router saw 66\.0 MiB of it, 0 packets outside\n/);
    assert.ok(!plain(full).join("\n").includes("tunnel"));
  });

  test("no line is longer than the terminal, whatever the state holds", () => {
    const wild: DevnetState = {
      ...full,
      peers: full.peers.map((peer) => ({ ...peer, name: "n".repeat(90), egress: "e".repeat(90), balance: 10n ** 60n, peers: 10 ** 9 })),
      session: full.session && { ...full.session, promised: 10n ** 60n, billedBytes: 10n ** 30n, state: "S".repeat(99), country: "US" },
      steps: [{ atMs: 10 ** 9, text: "x".repeat(300) }],
    };
    for (const width of [80, 60, 40])
      for (const state of [full, wild])
        for (const line of plain(state, width)) assert.ok(line.length <= width, `${line.length} > ${width}: ${line}`);
  });

  test("colours change nothing but the colours", () => {
    const colored = renderView(full, { width: 80, color: true });
    assert.notDeepEqual(colored, plain(full));
    assert.deepEqual(colored.map(stripVTControlCharacters), plain(full));
  });

  test("shows what is known before there is a session, and the newest steps only", () => {
    const steps = Array.from({ length: 20 }, (_, i) => ({ atMs: i, text: `step ${i}.` }));
    const text = plain({ elapsedMs: 0, unit, peers: [], steps }).join("\n");
    assert.ok(!text.includes("session "));
    assert.ok(text.includes("step 19.") && !text.includes("step 1."));
  });

  test("fits the rows of a terminal by leaving out older steps", () => {
    const steps = Array.from({ length: 20 }, (_, i) => ({ atMs: i, text: `step ${i}.` }));
    const lines = (height: number) => renderView({ ...full, steps }, { width: 80, color: false, height });
    assert.equal(lines(23).length, 23);
    assert.ok(lines(23).at(-1)?.includes("step 19."));
    assert.equal(lines(99).filter((line) => line.includes("step ")).length, 8);
    assert.equal(lines(5).filter((line) => line.includes("step ")).length, 2);
  });

  test("the bar is empty at none, full at all", () => {
    const bar = (doneBytes: number) =>
      plain({ ...full, download: { doneBytes, totalBytes: 100 } }).find((line) => line.includes("traffic")) ?? "";
    assert.ok(!bar(0).includes("━") && bar(0).includes("╌"));
    assert.ok(!bar(100).includes("╌") && bar(100).includes("━"));
    assert.equal(bar(50).split("━").length, bar(50).split("╌").length);
  });
});
