import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { allBackends } from "../../../src/services/wireguard/backend/choose.ts";
import { makeKeyPair } from "../../../src/services/wireguard/backend/keys.ts";
import type { WgBackend, WgDevice } from "../../../src/services/wireguard/types.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces, ip, startEcho } from "./rig.ts";

const noNamespaces = enterNamespaces(fileURLToPath(import.meta.url));
const probes = noNamespaces ? [] : await Promise.all(allBackends().map(async (backend) => ({ backend, probe: await backend.probe() })));
const mtu = 1280;

if (noNamespaces) describe("backends", (test) => test("all", () => undefined, { skip: noNamespaces }));

for (const { backend, probe } of probes) suite(backend, probe.ok ? false : (probe.reason ?? "no reason given"));

/** What each must do, whatever it is. The near end is a device in our namespace, the far end one moved into another. */
function suite(backend: WgBackend, skip: string | false): void {
  describe(`backend ${backend.kind}`, (test, { before, after }) => {
    const near = makeKeyPair();
    const far = makeKeyPair();
    const presharedKey = makeKeyPair().privateKey;
    const namespace = `far-${backend.kind}`;
    let a: WgDevice;
    let b: WgDevice;
    let echo: ChildProcess;
    let socket: Socket;
    let answers = 0;

    const ask = (bytes = 100) => socket.send(Buffer.alloc(bytes), 7, "10.9.0.2");
    const answered = async (): Promise<boolean> => {
      const before = answers;
      ask();
      await new Promise((done) => setTimeout(done, 20));
      return answers > before;
    };
    const openNear = async () => {
      a = await backend.open({ ifname: "near0", privateKey: near.privateKey, mtu, listenPort: a?.listenPort ?? 0 });
      ip("address", "add", "10.9.0.1/24", "dev", "near0");
    };
    const addFar = () => a.addPeer({ publicKey: far.publicKey, presharedKey, allowedIps: ["10.9.0.2/32"] });

    before(async () => {
      await openNear();
      await addFar();
      b = await backend.open({ ifname: "far0", privateKey: far.privateKey, mtu, fwmark: 51 });
      ip("netns", "add", namespace);
      ip("link", "set", "far0", "netns", namespace);
      ip("-n", namespace, "address", "add", "10.9.0.2/24", "dev", "far0");
      ip("-n", namespace, "link", "set", "far0", "up");
      const endpoint = { address: "127.0.0.1", port: a.listenPort };
      await b.addPeer({ publicKey: near.publicKey, presharedKey, allowedIps: ["10.9.0.1/32"], endpoint, keepaliveS: 1 });
      echo = await startEcho(namespace, "10.9.0.2");
      socket = createSocket("udp4");
      socket.on("message", () => {
        answers += 1;
      });
      socket.on("error", () => undefined);
      await new Promise<void>((done) => socket.bind(0, "10.9.0.1", done));
    });
    after(async () => {
      socket?.close();
      echo?.kill("SIGKILL");
      await a?.close();
      await b?.close();
      ip("netns", "delete", namespace);
    });

    test(
      "shakes hands and carries",
      async () => {
        await until(answered);
        const stats = (await a.stats()).get(far.publicKey);
        assert.ok(stats && Math.abs(Date.now() - stats.handshakeMs) < 30_000);
        assert.notEqual(a.listenPort, 0);
        assert.equal(Number(JSON.parse(ip("-j", "link", "show", "near0"))[0].mtu), mtu);
      },
      { skip },
    );

    test(
      "counts bytes of UDP payload: a packet's length in blocks of 16 and 32 more",
      async () => {
        const before = (await a.stats()).get(far.publicKey);
        for (let i = 0; i < 50; i += 1) ask(1000);
        const target = answers + 50;
        await until(() => answers >= target);
        const now = (await a.stats()).get(far.publicKey);
        assert.ok(before && now);
        const sent = Number(now.txBytes - before.txBytes);
        // 1000 bytes, UDP and IP headers: 1028, that is 65 blocks of 16
        assert.ok(sent >= 50 * (65 * 16 + 32) && sent < 50 * (65 * 16 + 32) + 2000, `${sent}`);
      },
      { skip },
    );

    test(
      "suspend carries nothing, resume carries again with the same handshake",
      async () => {
        await until(answered);
        const { handshakeMs } = (await a.stats()).get(far.publicKey) ?? {};
        const times: number[] = [];
        for (let i = 0; i < 5; i += 1) {
          const started = performance.now();
          await a.suspend(far.publicKey);
          const suspended = performance.now();
          assert.equal(await answered(), false);
          const from = performance.now();
          await a.resume(far.publicKey);
          const resumed = performance.now() - from;
          await until(answered);
          times.push(suspended - started, resumed);
        }
        assert.equal((await a.stats()).get(far.publicKey)?.handshakeMs, handshakeMs);
        console.log(`${backend.kind}: suspend and resume ${times.map((ms) => ms.toFixed(2)).join(" ")} ms`);
      },
      { skip },
    );

    test(
      "refuses a network that another peer has, even while that one is suspended",
      async () => {
        const other = makeKeyPair().publicKey;
        await a.suspend(far.publicKey);
        await assert.rejects(a.addPeer({ publicKey: other, allowedIps: ["10.9.0.2/32"] }), /another peer/);
        await a.resume(far.publicKey);
        await until(answered);
        assert.equal((await a.stats()).has(other), false);
        await assert.rejects(a.addPeer({ publicKey: "x\nprivate_key=00", allowedIps: [] }), { code: "BAD_VALUE" });
      },
      { skip },
    );

    test(
      "removing a peer tells its last counters; they begin anew when it is back",
      async () => {
        const last = await a.removePeer(far.publicKey);
        assert.ok(last.rxBytes > 50_000n && last.txBytes > 50_000n);
        assert.equal((await a.stats()).size, 0);
        await assert.rejects(a.removePeer(far.publicKey), /no such peer/);
        await addFar();
        assert.equal((await a.stats()).get(far.publicKey)?.rxBytes, 0n);
        // ours has no endpoint for it: the far end finds out by itself that it must shake hands again
        await until(answered, 25_000);
      },
      { skip, timeoutMs: 40_000 },
    );

    test(
      "no key of ours is in an argument list",
      () => {
        const lines = readdirSync("/proc")
          .filter((name) => /^\d+$/.test(name))
          .map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
        assert.ok(lines.length > 2);
        for (const key of [near.privateKey, far.privateKey, presharedKey]) assert.ok(!lines.some((line) => line.includes(key)));
      },
      { skip },
    );

    test(
      "says so when it has gone by itself, and opens again on the same port",
      async () => {
        const { listenPort } = a;
        const gone = new Promise<string>((resolve) => a.onExit(resolve));
        if (backend.kind === "kernel") ip("link", "delete", "near0");
        else process.kill(tunnelProcess("near0"), "SIGKILL");
        await a.stats().catch(() => undefined);
        console.log(`${backend.kind}: ${await gone}`);
        await assert.rejects(a.stats());
        await openNear();
        assert.equal(a.listenPort, listenPort);
        await addFar();
        await until(answered, 25_000);
      },
      { skip, timeoutMs: 40_000 },
    );

    test(
      "close leaves no interface and no process",
      async () => {
        await a.close();
        await b.close();
        assert.doesNotMatch(ip("link"), /near0/);
        assert.throws(() => tunnelProcess("near0"));
      },
      { skip },
    );
  });
}

function tunnelProcess(ifname: string): number {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    if (readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`wireguard-go\0-f\0${ifname}`)) return Number(pid);
  throw new Error(`no tunnel process of ${ifname}`);
}
