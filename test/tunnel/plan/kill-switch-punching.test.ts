import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { shield } from "../../../src/services/wireguard/plan/shield.ts";
import type { Standing } from "../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { openNamespace } from "../support/namespaces.ts";
import { exitAddress, exitPort, type KillSwitchRig, marked, markedPort, openKillSwitchRig, otherExit, tunnel } from "./kill-switch-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));

describe("kill switch: while a way through NAT is looked for", (test, { before, after }) => {
  let rig: KillSwitchRig;
  before(async () => {
    rig = await openKillSwitchRig();
  });
  after(() => rig?.end());
  const up: Standing = { state: "up", tunnel };

  test(
    "while observers are greeted, they are reached and nothing else",
    async () => {
      const probe = (address: string, port: number) => rig.consumer.run(marked(address, port)).trim();
      const also = [{ address: otherExit, port: 443 }];
      await rig.load({ state: "handshaking", tunnel: { ...tunnel, also } });
      assert.deepEqual([probe(exitAddress, exitPort), probe(otherExit, 443)], ["answered", "answered"]);
      assert.deepEqual([probe(exitAddress, 443), probe(otherExit, exitPort)], ["nothing", "nothing"]);
    },
    { skip },
  );

  test(
    `${shield.punching.packet}: with strict reverse path filtering`,
    async () => {
      const listening = await openNamespace("consumer", { shared: true });
      try {
        await listening.ask({ do: "listen", tcp: [], udp: [markedPort], address: "11.0.0.1" });
        const first = (from: string, port = markedPort) => rig.outside.ask({ do: "udp", host: "11.0.0.1", port, from });
        const punching = { ...tunnel, punching: markedPort };
        await rig.load({ state: "handshaking", tunnel: punching });
        assert.match(await first(exitAddress), /^open/);
        assert.equal(await first(otherExit), "silence");
        assert.equal(await first(exitAddress, 80), "silence");
        const others: Standing[] = [{ state: "handshaking", tunnel }, up, { state: "up", tunnel: punching }, { state: "blocked" }];
        for (const standing of others) {
          await rig.load(standing);
          assert.equal(await first(exitAddress), "silence", standing.state);
        }
      } finally {
        await listening.end();
      }
    },
    { skip },
  );
});
