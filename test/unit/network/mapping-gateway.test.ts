import assert from "node:assert/strict";
import { defaultRoute } from "../../../src/network/mapping/gateway.ts";
import { describe } from "../../support/harness.ts";

const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
const route = (ifname: string, to: string, by: string, flags: string, metric: number, mask = "00000000") =>
  [ifname, to, by, flags, "0", "0", metric, mask, "0", "0", "0"].join("\t");
const table = (...routes: string[]) => `${[head, ...routes].join("\n")}\n`;

describe("network/mapping/gateway", (test) => {
  test("the gateway of the default route, of two the one that the kernel takes", () => {
    const text = table(
      route("wlan0", "00000000", "FE01A8C0", "0003", 600),
      route("eth0", "00000000", "0107A8C0", "0003", 100),
      route("eth0", "0007A8C0", "00000000", "0001", 100, "00FFFFFF"),
    );
    assert.deepEqual(defaultRoute(text), { gateway: "192.168.7.1", ifname: "eth0" });
  });

  test("none where there is no table, no route, none by a gateway, or none that is up", () => {
    for (const text of [
      "",
      "nonsense\n\t\t\t",
      table(),
      table(route("wg0", "00000000", "00000000", "0001", 0)),
      table(route("eth0", "00000000", "0107A8C0", "0002", 0)),
      table(route("eth0", "0000000A", "0107A8C0", "0003", 0, "000000FF")),
      table(route("eth0", "00000000", "0107A8C0", "0003", 0, "00000080")),
    ])
      assert.equal(defaultRoute(text), undefined, text);
  });
});
