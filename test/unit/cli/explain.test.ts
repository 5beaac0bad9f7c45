import assert from "node:assert/strict";
import { coPayerColumns, explainFacts } from "../../../src/cli/explain.ts";
import { facts, maxWidth, table } from "../../../src/cli/format.ts";
import type { ExplainView } from "../../../src/node/types.ts";
import { describe } from "../../support/harness.ts";
import { exit, explained } from "../api/fake-node.ts";

const unit = { symbol: "MYST", decimals: 18 };
const peer = "16Uiu2HAmLw18qS7VYHXUJDyEuYYHsdq5UcVLY3ZopUhWMqW4Q2KR";
const shown = (view: ExplainView) => facts(explainFacts(view, unit));
const nothing: ExplainView = {
  ...{ peer, address: exit.address, score: 0, quality: 0.21, evidence: { ok: 0, fail: 0 }, exits: [], isNew: true },
  own: { sessions: 0, fails: 0, ok: 0, fail: 0, settled: 0n },
  coPayers: [],
  gossip: { weight: 0, raters: 0, flow: 0, reference: 0, most: 0, mostOfOne: 0 },
  stake: { bond: 0n, ageMs: 0, share: 0 },
};
const largest: ExplainView = {
  ...explained,
  peer,
  evidence: { ok: 1_234.5, fail: 999.9 },
  exits: [{ ...exit, perGiB: 123_456_789n * 10n ** 10n, perHour: 123_456_789n * 10n ** 10n }],
  own: { sessions: 65_535, fails: 65_535, ok: 9, fail: 9, settled: 123_456_789n * 10n ** 18n, mbps: 65_535, rttMs: 65_535 },
  gossip: { weight: 19.9, raters: 32, flow: 0.999, reference: 0.999, most: 20, mostOfOne: 2 },
  stake: { bond: 123_456_789n * 10n ** 18n, ageMs: 90 * 86_400_000, share: 1 },
  country: {
    ...{ claimed: "US", state: "refuted", refutedBy: "latency", here: "SG" },
    databases: [
      {
        database: "GeoLite2-City-Europe-Asia-20261124.mmdb",
        address: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        country: "NL",
        of: "egress",
      },
    ],
    measured: [{ country: "SG", rttMs: 1_234, apartKm: 13_000, by: peer }],
  },
  rank: {
    place: 10_000,
    of: 10_000,
    chance: 0.999,
    utility: 0.999,
    factors: { score: 1, speed: 1, country: 1, price: 1, room: 1, places: 1 },
  },
};

describe("cli/explain", (test) => {
  test("says what is known, by own sessions, others' word, stake and rank", () => {
    const text = shown(explained);
    for (const part of [
      /score +0\.81 of 1: quality 0\.83/,
      /9, of which it ended 1/,
      /counts like 5\.00 sessions/,
      /7 payers have rated it/,
      /31 ms/,
      /1 of 3 in US.*61 %/,
      /one quantum/,
    ])
      assert.match(text, part);
  });

  test("says what is not known, instead of leaving it out", () => {
    const text = shown(nothing);
    for (const part of [/nothing now/, /own sessions +none/, /counts nothing/, /speed +not known/, /stake +none/, /little is known/])
      assert.match(text, part);
    assert.ok(!text.includes("rank"));
  });

  test("says what stands behind its country, and what would", () => {
    const located = { address: "192.0.2.1", country: "US", of: "endpoint" } as const;
    const view: ExplainView = {
      ...explained,
      country: {
        ...{ claimed: "US", state: "latency", here: "US" },
        databases: [{ ...located, database: "a.mmdb" }],
        measured: [{ country: "US", rttMs: 12.4, apartKm: 0 }],
      },
    };
    for (const part of [/country +US by latency/, /a\.mmdb: 192\.0\.2\.1 in US/, /12 ms from here \(US\)/]) assert.match(shown(view), part);
    const bare = shown({ ...explained, country: { claimed: "US", state: "claimed", databases: [], measured: [] } });
    for (const part of [/US by its word alone/, /--geoip-db/, /--here/]) assert.match(bare, part);
    const refuted = shown(largest);
    for (const part of [/US is refuted: it answers sooner/, /: egress 2001:db8/, /1234 ms from ….*13000 km away/])
      assert.match(refuted, part);
  });

  test("fits 80 columns, whatever there is to say", () => {
    const rows = Array.from({ length: 20 }, () => ({
      ...{ payer: exit.address, weight: 19.99, ok: 12_345.6, fail: 12_345.6, settled: 123_456_789n * 10n ** 18n },
      via: Array.from({ length: 30 }, () => exit.address),
    }));
    for (const line of [shown(nothing), shown(explained), shown(largest), table(rows, coPayerColumns(unit))].join("\n").split("\n"))
      assert.ok(line.length <= maxWidth, `${line.length}: ${line}`);
  });
});
