import assert from "node:assert/strict";
import { type Client, createEndpoints, type EndpointsOptions } from "../../../src/chain/endpoints.ts";
import { type ErrorCode, isMystError, MystError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { describe } from "../../support/harness.ts";

const urls = ["http://127.0.0.1:1/", "http://127.0.0.1:2/", "http://127.0.0.1:3/"];
const silent = new MystError("RPC_UNREACHABLE", "no answer");
const fails = (code: ErrorCode) => (error: unknown) => isMystError(error, code);

/** Which URL a piece of work is done with, without asking it anything. */
const portOf = (client: Client) => Number(new URL(client.transport.url ?? "").port);
function setUp(options: Partial<EndpointsOptions> = {}) {
  const clock = { ms: 1_000_000, nowMs: () => clock.ms, sleep: async () => undefined };
  return { clock, endpoints: createEndpoints({ urls, log: silentLogger, clock, ...options }) };
}

describe("chain/endpoints", (test) => {
  test("the first that works; one that was passed over comes last for a while", async () => {
    const { endpoints, clock } = setUp();
    const asked: number[] = [];
    const work = async (client: Client) => {
      asked.push(portOf(client));
      if (portOf(client) === 1 && clock.ms < 1_030_000) throw silent;
      return portOf(client);
    };
    assert.equal(await endpoints.call("a question", work), 2);
    assert.equal(await endpoints.call("a question", work), 2);
    assert.deepEqual(asked, [1, 2, 2]);
    clock.ms += 30_000;
    assert.equal(await endpoints.call("a question", work), 1);
  });

  test("one that shows a head far behind what was seen is passed over, a little behind is usual", async () => {
    const { endpoints } = setUp();
    const heads: Record<number, bigint> = { 1: 100n, 2: 106n, 3: 106n };
    const head = (port?: number) =>
      endpoints.call("a head", async (client) => {
        endpoints.saw(heads[port ?? portOf(client)] ?? 0n);
        return portOf(client);
      });
    assert.equal(await head(), 1);
    heads[1] = 95n;
    assert.equal(await head(), 1);
    await head(2);
    assert.equal(endpoints.status().block, 106);
    heads[1] = 100n;
    assert.equal(await head(), 2);
    heads[2] = 100n;
    heads[3] = 100n;
    await assert.rejects(head(), fails("RPC_STALE"));
    const { reachable, problem } = endpoints.status();
    assert.deepEqual([reachable, problem], [true, "the RPC shows block 100 as its newest, and 106 was seen"]);
  });

  test("nor is a head believed that no chain could have come to meanwhile; one that has gone back for good is after ten minutes", async () => {
    const { endpoints, clock } = setUp({ urls: urls.slice(0, 1) });
    const see = (block: bigint) => endpoints.call("a head", async () => endpoints.saw(block));
    await see(100n);
    await assert.rejects(see(10n ** 9n), fails("RPC_STALE"));
    await see(20_100n);
    await assert.rejects(see(50n), fails("RPC_STALE"));
    clock.ms += 600_001;
    await see(50n);
    await see(51n);
  });

  test("who was believed is verified again, and not used while that fails", async () => {
    let honest = true;
    let verified = 0;
    const verify = async (client: Client) => {
      verified += 1;
      if (portOf(client) === 1 && !honest) throw new MystError("RPC_WRONG_CHAIN", "another chain");
    };
    const { endpoints, clock } = setUp({ verify });
    const port = () => endpoints.call("a question", async (client) => portOf(client));
    assert.deepEqual([await port(), await port(), verified], [1, 1, 1]);
    honest = false;
    assert.equal(await port(), 1);
    clock.ms += 30_000;
    assert.equal(await port(), 2);
    honest = true;
    clock.ms += 30_000;
    assert.equal(await port(), 1);
  });

  test("a transaction is told to all that are up; one is enough, and what one refuses for good is said when none takes it", async () => {
    const { endpoints } = setUp();
    const told: number[] = [];
    const tell = (takes: number[], error: MystError = silent) =>
      endpoints.all("sending", async (client) => {
        told.push(portOf(client));
        if (!takes.includes(portOf(client))) throw error;
      });
    await tell([2]);
    assert.deepEqual(told.splice(0).sort(), [1, 2, 3]);
    // the two that were silent rest
    await tell([2]);
    assert.deepEqual(told.splice(0), [2]);
    await assert.rejects(tell([], new MystError("TRANSACTION_FAILED", "refused")), fails("TRANSACTION_FAILED"));
    await assert.rejects(tell([]), fails("RPC_UNREACHABLE"));
    told.splice(0);
    // with none up all are asked
    await assert.rejects(tell([]), fails("RPC_UNREACHABLE"));
    assert.deepEqual(told.sort(), [1, 2, 3]);
  });
});
