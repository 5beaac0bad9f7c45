import assert from "node:assert/strict";
import fc from "fast-check";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { fitPath } from "../../../../src/services/wireguard/path.ts";
import { echoed, servePaths } from "../../../../src/services/wireguard/path-echo.ts";
import { afterRound, leastMtu, searchPath, sizesToTry } from "../../../../src/services/wireguard/path-search.ts";
import { describe } from "../../../support/harness.ts";

describe("wireguard/path: the largest packet that passes", (test) => {
  test("is found within 4 bytes in a few rounds, and never too large", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: leastMtu, max: 1500 }), fc.integer({ min: leastMtu, max: 1500 }), async (path, most) => {
        let rounds = 0;
        const found = await searchPath({ passes: leastMtu - 1, most }, async (sizes) => {
          rounds += 1;
          assert.ok(sizes.length > 0 && sizes.length <= 8 && sizes.every((size) => size > leastMtu - 1 && size <= most));
          return sizes.filter((size) => size <= path);
        });
        assert.ok(found <= path && found > Math.min(path, most) - 4, `${found} of ${path}, at most ${most}`);
        assert.ok(rounds <= 5);
      }),
    );
  });

  test("what is lost by chance makes it smaller, and it still ends", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 64, maxLength: 64 }), async (luck) => {
        const found = await searchPath({ passes: 1280, most: 1420 }, async (sizes) => sizes.filter(() => luck.shift() ?? false));
        assert.ok(found >= 1280 && found <= 1420);
      }),
    );
  });

  test("nothing is tried once it is known", () => {
    assert.deepEqual(sizesToTry({ passes: 1420, most: 1420 }), []);
    assert.deepEqual(afterRound({ passes: 1280, most: 1420 }, [1300, 1420], [1300, 1420]), { passes: 1420, most: 1420 });
  });
});

describe("wireguard/path: echo", (test) => {
  const from = "127.0.0.1";

  test("what is of its form comes back whole, whatever its size; nothing else does", async () => {
    await using server = await servePaths(from, 0);
    const round = { from, to: from, port: server.port };
    assert.deepEqual(await echoed({ ...round, sizes: [60, 576, 1420] }), [60, 576, 1420]);
    await assert.rejects(echoed({ ...round, from: "192.0.2.1", sizes: [576] }), { code: "EADDRNOTAVAIL" });
  });

  test("where nobody answers it ends, with nothing", async () => {
    assert.deepEqual(await echoed({ from, to: from, port: 1, sizes: [576], tries: 2, apartMs: 5 }), []);
  });

  test("a tunnel whose own address is not there stays as it is", async () => {
    const set: number[] = [];
    const path = await fitPath(
      { mtu: async (mtu) => void set.push(mtu) },
      { from: "192.0.2.1", to: "192.0.2.2", most: 1420 },
      silentLogger,
    );
    path.end();
    assert.deepEqual(set, []);
  });
});
