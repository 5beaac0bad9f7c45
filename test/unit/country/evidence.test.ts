import assert from "node:assert/strict";
import fc from "fast-check";
import { circles } from "../../../src/country/circles.ts";
import { apartKm } from "../../../src/country/distance.ts";
import { type CountryFacts, judgeCountry, levels, type Measured, suffices } from "../../../src/country/evidence.ts";
import { describe } from "../../support/harness.ts";

const at = (country: string, database = "a.mmdb") => ({ database, address: "192.0.2.1", country });
const judged = (facts: Partial<CountryFacts>) => judgeCountry({ claimed: "NL", endpoint: [], egress: [], measured: [], ...facts });
const state = (facts: Partial<CountryFacts>) => judged(facts).state;

describe("country/evidence", (test) => {
  test("without anything else it is what the exit claims", () => {
    assert.equal(state({}), "claimed");
  });

  test("databases that know its address are with it, against it, or of two minds", () => {
    assert.equal(state({ endpoint: [at("NL")] }), "database");
    assert.equal(state({ endpoint: [at("NL"), at("NL", "b.mmdb")] }), "database");
    assert.equal(state({ endpoint: [at("NL"), at("DE", "b.mmdb")] }), "claimed");
    assert.deepEqual(judged({ endpoint: [at("DE"), at("FR", "b.mmdb")] }), { state: "refuted", confidence: 0.02, refutedBy: "databases" });
  });

  test("where its traffic comes out counts before where its endpoint is", () => {
    assert.equal(judged({ endpoint: [at("NL")], egress: [at("DE")] }).refutedBy, "egress");
    assert.equal(state({ endpoint: [at("DE")], egress: [at("NL")] }), "database");
  });

  test("within 15 ms of somebody there it is confirmed, in a large country within 40", () => {
    const from = (country: string, rttMs: number): Measured => ({ country, rttMs });
    assert.equal(state({ measured: [from("NL", 15)] }), "latency");
    assert.equal(state({ measured: [from("NL", 15.1)] }), "claimed");
    assert.equal(state({ claimed: "US", measured: [from("US", 40)] }), "latency");
    assert.equal(state({ claimed: "US", measured: [from("US", 41)] }), "claimed");
    assert.equal(state({ measured: [from("DE", 5)] }), "claimed");
  });

  test("what a database doubts no nearness confirms: 15 ms are 1,500 km", () => {
    assert.equal(state({ measured: [{ country: "NL", rttMs: 3 }], endpoint: [at("NL"), at("DE", "b.mmdb")] }), "claimed");
    assert.equal(state({ measured: [{ country: "NL", rttMs: 3 }], egress: [at("DE")] }), "refuted");
  });

  test("an answer sooner than light could bring it refutes, whatever else there is", () => {
    const apart = apartKm("SG", "NL") ?? 0;
    const measured = (rttMs: number): Measured[] => [
      { country: "NL", rttMs: 5 },
      { country: "SG", rttMs },
    ];
    assert.deepEqual(judged({ endpoint: [at("NL")], measured: measured(apart / 100 - 0.1) }), {
      ...{ state: "refuted", confidence: 0.02, refutedBy: "latency" },
    });
    assert.equal(state({ endpoint: [at("NL")], measured: measured(apart / 100 + 0.1) }), "latency");
  });

  test("an answer that took longer than light needs to the other end of the world refutes nobody", () => {
    const country = fc.constantFrom(...Object.keys(circles));
    fc.assert(
      fc.property(country, country, fc.double({ min: 201, max: 1e4, noNaN: true }), (claimed, from, rttMs) => {
        assert.notEqual(judgeCountry({ claimed, endpoint: [], egress: [], measured: [{ country: from, rttMs }] }).state, "refuted");
      }),
    );
  });

  test("more evidence than was asked for will do, none does for one that is refuted", () => {
    const passing = levels.map((wanted) => [...levels, "refuted" as const].filter((one) => suffices(one, wanted)));
    assert.deepEqual(passing, [["claimed", "database", "latency"], ["database", "latency"], ["latency"]]);
  });
});
