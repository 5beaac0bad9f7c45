import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { exitPlan } from "../../../src/services/wireguard/plan/exit.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Namespace } from "../support/namespaces.ts";
import { clients, type ExitRig, gateway, openExitThatRuns, target } from "./exit-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));

describe("exit plan: how much a client may open and ask", (test, { before, after }) => {
  let rig: ExitRig;

  before(async () => {
    rig = await openExitThatRuns();
  });
  after(() => rig?.end());

  const udp = (host: string, port: number) => rig.one.ask({ do: "udp", host, port });

  test(
    "a client that opens too many connections at once waits, and no other; what it has open goes on",
    async () => {
      const many = (host: Namespace, count: number) =>
        Promise.all(Array.from({ length: count }, () => host.ask({ do: "tcp", host: target, port: 80 })));
      const opened = (said: string[]) => said.filter((one) => one.startsWith("open")).length;
      assert.equal(opened(await many(rig.one, 40)), 40);
      rig.load({ ...rig.facts(), flowLimit: 1 });
      rig.target.run(
        "nft add table inet tap; nft add chain inet tap in '{ type filter hook prerouting priority raw; }'; nft add rule inet tap in iifname eth0 udp dport 9 counter",
      );
      // one that nobody answers is one connection all the same
      await rig.one.ask({ do: "udp", host: target, port: 9, times: 200 });
      const sent = Number(/packets (\d+)/.exec(rig.target.run("nft list chain inet tap in"))?.[1]);
      rig.target.run("nft delete table inet tap");
      assert.ok(sent > 100, `${sent}`);
      const began = performance.now();
      const passed = opened(await many(rig.one, 40));
      // each second lets one more pass; what was dropped is sent again by TCP
      assert.ok(passed >= 8 && passed <= 10 + Math.ceil((performance.now() - began) / 1000), `${passed} of 40`);
      // the questions for names count
      assert.equal(await udp(gateway, 53), "silence");
      assert.equal(opened(await many(rig.two, 8)), 8);
    },
    { skip },
  );

  test(
    "a client has only so many connections at a time",
    async () => {
      const { nft } = exitPlan({ ...rig.facts(), flowLimit: 1 });
      assert.match(nft, /ct count over 40 /);
      rig.exit.run("nft -f -", nft.replace("ct count over 40 ", "ct count over 3 ").replace("rate over 1/second", "rate over 1000/second"));
      for (const address of clients) rig.credit(address, 10n ** 9n);
      rig.exit.run("conntrack -F");
      const said = await Promise.all(Array.from({ length: 6 }, () => rig.one.ask({ do: "udp", host: target, port: 53 })));
      assert.equal(said.filter((one) => one.startsWith("open")).length, 3);
      assert.match(await rig.two.ask({ do: "udp", host: target, port: 53 }), /^open/);
      rig.exit.run("conntrack -F");
      assert.match(await udp(target, 53), /^open/);
      rig.load(rig.facts());
    },
    { skip },
  );

  test(
    "questions about the way are answered without credit, a hundred or so at once",
    async () => {
      rig.exit.run("nft -f -", exitPlan(rig.facts()).nft);
      assert.equal(await udp(gateway, 5381), `open ${clients[0]}`);
      // of a thousand at once most are charged, and so dropped; what is let in is counted
      rig.exit.run(
        "nft add table inet tap; nft add chain inet tap in '{ type filter hook input priority 0; }'; nft add rule inet tap in udp dport 5381 counter",
      );
      await rig.one.ask({ do: "udp", host: gateway, port: 5381, times: 1_000 });
      assert.equal(await udp(gateway, 53), "silence");
      const passed = Number(/packets (\d+)/.exec(rig.exit.run("nft list chain inet tap in"))?.[1]);
      rig.exit.run("nft delete table inet tap");
      assert.ok(passed >= 50 && passed < 700, `${passed}`);
      rig.credit(clients[0], 10n ** 9n);
      assert.equal(await udp(gateway, 5381), `open ${clients[0]}`);
    },
    { skip },
  );
});
