import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkRouter } from "../../../src/cli/doctor-router.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces, ip } from "../backend/rig.ts";
import { startRouterOf } from "../support/home-router-of.ts";
import type { Host } from "../support/internet.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const [gateway, address] = ["192.168.7.1", "192.168.7.2"];
const host = (name: string, at: string) => ({ name, address: at, run: () => "" }) as unknown as Host;
const listen = ["/ip4/0.0.0.0/tcp/4480"];
const dataDir = "/run/nobody";

describe("doctor: the router of the local network, as it is asked", (test) => {
  test(
    "what it maps by and its address; that it is not public; that it maps nothing; and none, where there is none",
    async () => {
      assert.deepEqual(await checkRouter({ dataDir, listen }), { state: "ok", found: "none to be asked" });
      ip("netns", "add", "home");
      mkdirSync("/run/hosts/home", { recursive: true });
      ip("link", "add", "eth0", "type", "veth", "peer", "name", "lan", "netns", "home");
      ip("address", "add", `${address}/24`, "dev", "eth0");
      ip("link", "set", "eth0", "up");
      ip("-n", "home", "address", "add", `${gateway}/24`, "dev", "lan");
      ip("-n", "home", "link", "set", "lan", "up");
      ip("route", "add", "default", "via", gateway);
      const home = (outside: string, speaks: "pmp" | "upnp") =>
        startRouterOf(host("home", gateway), host("", address), { outside, speaks: [speaks] });
      {
        await using _ = await home("45.9.8.7", "upnp");
        assert.deepEqual(await checkRouter({ dataDir, listen }), {
          state: "ok",
          found: "192.168.7.1 maps ports by upnp, its address is 45.9.8.7",
        });
        assert.equal((await checkRouter({ dataDir, listen: ["/ip4/127.0.0.1/tcp/0"] })).found, "not asked");
      }
      {
        await using _ = await home("100.70.1.2", "pmp");
        const { state, found } = await checkRouter({ dataDir, listen });
        assert.deepEqual([state, found], ["note", "192.168.7.1 maps ports by nat-pmp, its address is 100.70.1.2, which is not public"]);
      }
      const { state, found, remedy } = await checkRouter({ dataDir, listen });
      assert.deepEqual([state, found], ["note", "the router 192.168.7.1 maps no ports, neither by NAT-PMP nor by UPnP"]);
      assert.match(remedy ?? "", /forward TCP 4480 there and, for a tunnel, UDP 51820/);
    },
    { skip },
  );
});
