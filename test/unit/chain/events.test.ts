import assert from "node:assert/strict";
import { blockTimes } from "../../../src/chain/events.ts";
import { describe } from "../../support/harness.ts";

describe("chain/events: when blocks were made", (test) => {
  const asked: bigint[] = [];
  const client = {
    getBlock: async ({ blockNumber }: { blockNumber: bigint }) => {
      asked.push(blockNumber);
      return { timestamp: blockNumber * 10n };
    },
  } as never;

  test("what the log says is taken; an RPC that says nothing is asked once for each block", async () => {
    const times = await blockTimes(client, [
      { blockNumber: 1n, blockTimestamp: 7n },
      { blockNumber: 2n },
      { blockNumber: 2n },
      { blockNumber: 3n },
    ]);
    assert.deepEqual(
      [...times],
      [
        [1n, 7_000],
        [2n, 20_000],
        [3n, 30_000],
      ],
    );
    assert.deepEqual(asked, [2n, 3n]);
  });
});
