import assert from "node:assert/strict";
import { isInside, pathWithSbin, unshareLine } from "../../../../src/devnet/netns/enter.ts";
import { keptOfRun } from "../../../../src/devnet/netns/mounts.ts";
import { wholeOf } from "../../../../src/devnet/netns/program.ts";
import { describe } from "../../../support/harness.ts";

describe("devnet/netns: the way inside", (test) => {
  test("a chain of processes, each of which ends the next, and the first inside takes in orphans", () => {
    const line = unshareLine(["node", "a b"]);
    assert.deepEqual(line.slice(0, 3), ["setpriv", "--pdeathsig", "KILL"]);
    for (const flag of ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]) assert.ok(line.includes(flag), flag);
    assert.deepEqual(line.slice(-2), ["node", "a b"]);
    // with nothing behind it a shell would become the command, and take in nobody
    assert.equal(line.at(-4), '"$@"; exit $?');
  });

  test("who is inside is told by the environment alone", () => {
    assert.ok(isInside({ MYSTNODE_DEVNET_INSIDE: "1" }));
    assert.ok(!isInside({}));
  });

  test("tools of root are found where PATH does not name their places", () => {
    assert.equal(pathWithSbin("/usr/bin:/sbin"), "/usr/bin:/sbin:/usr/local/sbin:/usr/sbin");
    assert.equal(pathWithSbin(), "/usr/local/sbin:/usr/sbin:/sbin");
  });

  test("of /run stays what a needed path lies in, once", () => {
    const paths = ["/run/user/0/data", "/run/user/0/x", "/var/run/tools/bin", "/usr/bin", "/home/run/x", ""];
    assert.deepEqual(keptOfRun(paths), ["user", "tools"]);
  });

  test("an installed package is taken with what it depends on", () => {
    assert.equal(wholeOf("/root/app/node_modules/mystnode"), "/root/app");
    assert.equal(wholeOf("/root/clone"), "/root/clone");
    assert.equal(wholeOf("/root/node_modules_x/clone"), "/root/node_modules_x/clone");
  });
});
