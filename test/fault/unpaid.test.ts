import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { ServiceProvider } from "../../src/services/service.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { type OpenExit, openExit, payOnce, type SilentPayer, terms } from "./support/silent-payer.ts";

const MiB = 1n << 20n;
/** how long a count must stand still to be the last one */
const quietMs = 1_500;

/** What it has gained once nothing more comes. */
async function inTheEnd({ gained }: SilentPayer): Promise<bigint> {
  for (let before = -1n; before !== gained(); await wait(quietMs)) before = gained();
  return gained();
}

/** An exit that lets through more than was paid for. */
const leaking =
  (bytes: bigint) =>
  (provider: ServiceProvider): ServiceProvider => ({
    ...provider,
    admit: async (admission) => {
      const grant = await provider.admit(admission);
      return { ...grant, allow: (total) => grant.allow(total + bytes) };
    },
  });

const isSuspended = (exit: OpenExit) => () => exit.sessions().some(({ phase }) => phase === "SUSPENDED");

describe("fault/unpaid: a consumer that pays once and never again", (test) => {
  test("gets what it prepaid and not a byte more, over however many connections, whatever it asks for", async () => {
    await using exit = await openExit();
    const bought = { bytes: 3n * MiB + 4_321n, ms: 600_000 };
    await using payer = await payOnce(exit, bought);
    await payer.pull(8);
    await until(() => payer.gained() >= bought.bytes);
    await payer.pull(4);
    // the same promise does not buy twice
    await payer.buyAgain(1, { ...bought, bytes: bought.bytes + 1n });
    await until(() => payer.said.some(({ t }) => t === "refused"));
    // to buy again what is bought already is fine, and gives nothing
    await payer.buyAgain(2, bought);
    await until(() => payer.said.some(({ t }) => t === "ack"));
    assert.equal(await inTheEnd(payer), bought.bytes);
  });

  test("the count would show a single byte that is not paid for", async () => {
    await using exit = await openExit(leaking(1n));
    const bought = { bytes: MiB, ms: 600_000 };
    await using payer = await payOnce(exit, bought);
    await payer.pull(3);
    assert.equal(await inTheEnd(payer), bought.bytes + 1n);
  });

  test("gets nothing once its time is over, however many bytes are left", async () => {
    await using exit = await openExit();
    await using payer = await payOnce(exit, { bytes: 1n << 40n, ms: 700 });
    await payer.pull(4);
    await until(isSuspended(exit));
    const [suspended] = exit.sessions();
    const gained = await inTheEnd(payer);
    assert.ok(gained > 0n && suspended);
    assert.equal(exit.sessions()[0]?.used.bytes, suspended.used.bytes);
    assert.ok(gained <= suspended.used.bytes, `${gained} came, ${suspended.used.bytes} were let through`);
    await payer.pull(2);
    assert.equal(await inTheEnd(payer), gained);
  });

  test("a promise that does not cover what it buys opens nothing", async () => {
    await using exit = await openExit();
    const dear = { bytes: MiB, ms: 1_000 };
    await using payer = await payOnce(exit, dear);
    assert.equal(payer.promise.cumulative, dear.bytes + BigInt(dear.ms) * (terms.perHour / 3_600_000n));
    await payer.buyAgain(1, { bytes: MiB, ms: 1_001 });
    await until(() => payer.said.some(({ t }) => t === "refused"));
    assert.equal(exit.sessions()[0]?.bought.ms, 1_000);
  });
});
