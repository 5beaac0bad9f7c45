import assert from "node:assert/strict";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { keepRecords } from "../../../src/node/recording.ts";
import type { StoredSession } from "../../../src/node/views.ts";
import { initialProvider, type ProviderState } from "../../../src/session/provider.ts";
import type { ProviderSession } from "../../../src/session/provider-driver.ts";
import { describe } from "../../support/harness.ts";

const channel = `0x${"c1".repeat(32)}` as const;
const signer = `0x${"aa".repeat(20)}` as const;
const terms = { perHour: 0n, perGiB: 1n, quantum: 1n, validUntilMs: 0 };

/** A session that has raised the channel from 100 to 150. */
const session = (phase: ProviderState["phase"], change: Partial<ProviderState> = {}) => {
  const start = { cumulative: 100n, consumed: 100n };
  const state = { ...initialProvider({ terms, start }), cumulative: 150n, phase, ...change };
  return { id: "s", peer: "p", signer, channel, service: "proxy", startedMs: 1, state: () => state } as unknown as ProviderSession;
};

function rig(options: { paid?: bigint; stored?: StoredSession[]; save?(record: StoredSession): Promise<void> } = {}) {
  const { paid = 0n } = options;
  const known = new Map((options.stored ?? []).map((record) => [record.id, record]));
  const save = async (record: StoredSession) => {
    known.set(record.id, record);
    await options.save?.(record);
  };
  const held = { signer, channel, paid };
  const recording = keepRecords({
    records: { list: () => [...known.values()], get: (id) => known.get(id), save },
    ledger: { channel: () => held as never, channels: () => [held] as never },
    events: { emit: () => undefined },
    clock: systemClock,
    log: silentLogger,
  });
  return { recording, get: () => known.get("s") };
}

describe("node/recording", (test) => {
  test("a session is cleared when the contract has paid up to where it raised the channel", async () => {
    const { recording, get } = rig();
    recording.onSession(session("CLEARABLE"));
    assert.deepEqual([get()?.state, get()?.cleared], ["CLEARABLE", 0n]);
    recording.onPaid(channel, 130n);
    assert.deepEqual([get()?.state, get()?.cleared], ["CLEARABLE", 30n]);
    recording.onPaid(channel, 170n);
    assert.deepEqual([get()?.state, get()?.cleared], ["CLEARED", 50n]);
    await recording.idle();
  });

  test("one whose promises were cleared before it was over is cleared as it ends, and so is one that promised nothing", () => {
    const early = rig({ paid: 150n });
    early.recording.onSession(session("ACTIVE"));
    assert.deepEqual([early.get()?.state, early.get()?.cleared], ["ACTIVE", 50n]);
    early.recording.onSession(session("CLEARABLE"));
    assert.equal(early.get()?.state, "CLEARED");
    const carried = rig({ paid: 100n });
    carried.recording.onSession(session("CLEARABLE", { cumulative: 100n }));
    assert.equal(carried.get()?.state, "CLEARED");
  });

  test("what was refused before it began pushes no record out", () => {
    const refused = rig({ paid: 100n });
    refused.recording.onSession(session("QUOTED", { cumulative: 100n }));
    refused.recording.onSession(session("REFUSED", { cumulative: 100n }));
    assert.equal(refused.get(), undefined);
  });

  test("what a crash kept from the records is put right at the next start", () => {
    const stored: StoredSession[] = [];
    const first = rig({ save: async (record) => void stored.push(record) });
    first.recording.onSession(session("CLEARABLE"));
    assert.equal(rig({ paid: 150n, stored }).get()?.state, "CLEARED");
    assert.equal(rig({ paid: 149n, stored }).get()?.state, "CLEARABLE");
  });

  test("a record that cannot be written ends nothing, and is waited for", async () => {
    const { recording } = rig({ save: async () => Promise.reject(new Error("disk full")) });
    recording.onSession(session("CLEARABLE"));
    recording.onPaid(channel, 150n);
    await recording.idle();
  });
});
