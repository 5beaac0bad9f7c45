import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HostNet } from "../../../src/services/wireguard/host/host-net.ts";
import type { Run } from "../../../src/services/wireguard/host/tools.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { lookDifference, type Namespace } from "../support/namespaces.ts";
import { blocked, bothHops, elsewhere, exit, firstHop, type HostRig, openHostRig, pretendDead, up, withLink } from "./host-rig.ts";

const same = (now: string, before: string, what?: string) => assert.deepEqual(lookDifference(now, before), [], what);
const skip = enterNamespaces(fileURLToPath(import.meta.url));

describe("host network after a crash", (test, { before, after }) => {
  let rig: HostRig;
  let host: Namespace;
  let directory: string;
  let clean: string;
  const open = (run?: Run): HostNet => rig.open(run);
  const look = () => rig.look();

  before(async () => {
    rig = await openHostRig();
    ({ host, directory, clean } = rig);
  });
  after(() => rig?.end());

  test(
    "a crash at any step: the next start leaves the host as it was before",
    async () => {
      for (const [first, last] of [
        [undefined, exit],
        [undefined, up],
        [blocked, up],
        [up, elsewhere],
        [firstHop, bothHops],
      ] as const) {
        let ended = false;
        for (let crashAt = 0; !ended; crashAt++) {
          let left = Number.POSITIVE_INFINITY;
          const crashed = Promise.withResolvers<boolean>();
          const running: Promise<unknown>[] = [];
          const net = open((tool, args, options) => {
            left -= 1;
            if (left < 0) {
              // what runs beside it ends by itself, before another process starts
              void Promise.allSettled(running).then(() => crashed.resolve(false));
              return new Promise(() => undefined);
            }
            const run = host.net.run(tool, args, options);
            running.push(run);
            return run;
          });
          if (first) await net.apply(first);
          left = crashAt;
          ended = await Promise.race([net.apply(last).then(() => true), crashed.promise]);
          pretendDead(directory);
          await open().reconcile();
          same(withLink(host, look), clean, `from ${first ? "another plan" : "nothing"} to ${last.kind}, crash after step ${crashAt}`);
          assert.ok(!ended || crashAt > 3);
        }
      }
    },
    { skip, timeoutMs: 120_000 },
  );

  test(
    "reconcile removes the link too, and what stands without a record",
    async () => {
      await open().apply(up);
      await open().apply(exit);
      rmSync(join(directory, "host-client.json"));
      pretendDead(directory);
      const removed = await open().reconcile();
      assert.ok(removed.includes("interface mystexit0") && removed.includes("nft table mystnode_ks"), removed.join());
      // what only the lost record knew
      host.run("sysctl -qw net.ipv4.conf.all.src_valid_mark=0; ip link del mystnode0");
      same(withLink(host, look), clean);
    },
    { skip },
  );

  test(
    "reconcile leaves alone what a living process has applied, and what is not ours",
    async () => {
      assert.deepEqual(await open().reconcile(), []);
      same(look(), clean);
      await open().apply(up);
      const path = join(directory, "host-client.json");
      const state = JSON.parse(readFileSync(path, "utf8"));
      const began = readFileSync(`/proc/${process.pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19];
      assert.deepEqual(state.owner, { pid: process.pid, began });
      await open().revert("client");
      same(look(), clean);
    },
    { skip },
  );

  test(
    "a record that was made by hand is no command",
    async () => {
      writeFileSync(
        join(directory, "host-client.json"),
        JSON.stringify({
          version: 1,
          owner: { pid: 999_999, began: "1" },
          ifname: "eth0",
          undo: [{ family: 4, del: "link del eth0\nlink del other" }],
          sysctls: [],
        }),
      );
      await open().reconcile();
      same(look(), clean);
      assert.deepEqual(readdirSync(directory), []);
    },
    { skip },
  );
});
