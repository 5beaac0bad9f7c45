import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { processBegan } from "../../../../../src/services/wireguard/host/state-file.ts";
import { describe } from "../../../../support/harness.ts";
import { until } from "../../../../support/until.ts";

describe("services/wireguard/host/state-file", (test) => {
  const skip = process.platform === "linux" ? false : "there is no /proc";

  test(
    "a process began once; one that has ended did not, also while nobody has asked how it ended",
    async () => {
      assert.match(processBegan(process.pid) ?? "", /^\d+$/);
      // The child ends once its parent is no shell any more: a shell may ask how it ended, sleep never does.
      const untilNoShell = "while ! grep -q sleep /proc/$$/comm; do sleep 0.01; done";
      const parent = spawn("sh", ["-c", `(${untilNoShell}) & echo $!; exec sleep 30`], { stdio: ["ignore", "pipe", "ignore"] });
      try {
        const [line] = await once(parent.stdout, "data");
        const pid = Number(String(line));
        await until(() => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "));
        assert.equal(processBegan(pid), undefined);
      } finally {
        parent.kill();
        await once(parent, "exit");
      }
    },
    { skip },
  );
});
