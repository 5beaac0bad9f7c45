import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connections, exitChecks, receiveBuffer } from "../../../src/cli/doctor-exit.ts";
import { runTool } from "../../../src/services/wireguard/backend/run-tool.ts";
import { tryExit } from "../../../src/services/wireguard/host/trial.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces, ip } from "../backend/rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const nft = (input: string) => execFileSync("nft", ["-f", "-"], { input, stdio: ["pipe", "pipe", "pipe"] });
const look = () => execFileSync("sh", ["-c", "nft list ruleset; ip -o link; ip route"]).toString();
const check = async (name: string) => {
  const [, work] = exitChecks().find(([one]) => one.trim() === name) ?? [];
  if (!work) throw new Error(`there is no check '${name}'`);
  return work();
};

describe("doctor: what an exit needs, from the inside", (test) => {
  test(
    "firewall and queues are tried where nothing of the machine's is; what the kernel refuses is told in its words",
    async () => {
      const before = look();
      assert.deepEqual(await tryExit(), [{ part: "firewall" }, { part: "speed limits" }]);
      const [firewall, queues] = await tryExit((tool, args, options) => runTool(tool, args, { ...options, input: "bogus\n" }));
      assert.match(firewall?.problem ?? "", /syntax error/);
      assert.match(queues?.problem ?? "", /bogus/);
      assert.equal(look(), before);
      assert.equal((await check("firewall")).state, "ok");
      assert.equal((await check("speed limits")).state, "ok");
    },
    { skip },
  );

  test(
    "no way out is told of, and how it can be named",
    async () => {
      const { state, remedy } = await check("host");
      assert.deepEqual([state, remedy], ["note", "an exit then needs --egress-if"]);
      ip("link", "add", "eth0", "type", "veth", "peer", "name", "far0");
      ip("link", "set", "eth0", "up");
      ip("address", "add", "45.0.0.2/24", "dev", "eth0");
      ip("route", "add", "default", "via", "45.0.0.1");
      assert.equal((await check("host")).state, "ok");
      assert.match((await check("IPv6")).remedy ?? "", /--ipv6 needs both/);
      ip("address", "add", "2a10::2/64", "dev", "eth0", "nodad");
      assert.equal((await check("IPv6")).state, "note");
      ip("-6", "route", "add", "default", "via", "2a10::1");
      assert.match((await check("IPv6")).found, /out by eth0/);
    },
    { skip },
  );

  test(
    "a port in use",
    async () => {
      assert.equal((await check("port")).state, "ok");
      const socket = createSocket("udp4");
      socket.bind(51_820);
      await once(socket, "listening");
      assert.match((await check("port")).remedy ?? "", /--listen-port/);
      socket.close();
    },
    { skip },
  );

  test(
    "ufw that lets nobody in on WireGuard's port, and one that does; another firewall that drops what is forwarded",
    async () => {
      const ufw = readFileSync(join(import.meta.dirname, "..", "plan", "recorded", "ufw.nft"), "utf8");
      assert.equal((await check("other firewalls")).state, "ok");
      nft(ufw.replaceAll("51820", "51999"));
      assert.match((await check("other firewalls")).remedy ?? "", /ufw allow 51820\/udp/);
      nft(`delete table ip filter\n${ufw}`);
      assert.equal((await check("other firewalls")).state, "ok");
      nft("table inet own { chain f { type filter hook forward priority 5; policy drop; }\n}\n");
      assert.match((await check("other firewalls")).remedy ?? "", /let interface mystn0 pass in inet own f/);
    },
    { skip },
  );

  test(
    "a firewall that remembers nearly as many connections as it can",
    async () => {
      assert.equal((await check("connections")).state, "ok");
      assert.match(connections({ conntrack: { count: 800, max: 1000 } }).remedy ?? "", /nf_conntrack_max=4000/);
      assert.equal(connections({ conntrack: { count: 799, max: 1000 } }).state, "ok");
    },
    { skip },
  );

  test(
    "a receive buffer that is small, and may be raised or not",
    async () => {
      // a network namespace may not, whoever asks
      const { state, remedy } = await check("receive buffer");
      assert.ok(state === "ok" || /rmem_default=4194304/.test(remedy ?? ""), remedy);
      const found = (bytes: number, mayRaise: boolean) => receiveBuffer({ receiveBuffer: { bytes, wanted: 1024 ** 2, mayRaise } });
      assert.deepEqual(found(1024 ** 2, false), { state: "ok", found: "1024 KiB" });
      assert.deepEqual(found(1024, true), { state: "ok", found: "1 KiB, 1024 KiB for a tunnel" });
      assert.match(found(1024, false).remedy ?? "", /rmem_default=1048576/);
    },
    { skip },
  );
});
