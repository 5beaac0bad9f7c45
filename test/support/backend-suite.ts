import assert from "node:assert/strict";
import { makeKeyPair } from "../../src/services/wireguard/backend/keys.ts";
import type { BackendKind, DeviceConfig, WgDevice } from "../../src/services/wireguard/types.ts";
import { describe } from "./harness.ts";
import { allProcesses } from "./host-snapshot.ts";
import { until } from "./until.ts";

/** A near and a far device of one backend, and somebody at the far end who answers. */
export type BackendLine = {
  kind: BackendKind;
  near: string;
  far: string;
  /** with its address on it */
  open(end: "near" | "far", config: Omit<DeviceConfig, "ifname" | "mtu">): Promise<WgDevice>;
  /** the far end answers from now on */
  listen(): Promise<void>;
  /** Sends a UDP payload of so many bytes to the far end. */
  ask(bytes: number): void;
  /** how many have come back */
  answers(): number;
  mtu(): number;
  /** Ends the near device behind its owner's back. */
  kill(): void;
  isThere(): boolean;
  close(): Promise<void>;
};
export const lineMtu = 1280;

/** What each backend must do, whatever it is. */
export function backendSuite(line: BackendLine, skip: string | false): void {
  describe(`backend ${line.kind}`, (test, { before, after }) => {
    const near = makeKeyPair();
    const far = makeKeyPair();
    const presharedKey = makeKeyPair().privateKey;
    let a: WgDevice;
    let b: WgDevice;

    const answered = async (): Promise<boolean> => {
      const before = line.answers();
      line.ask(100);
      await new Promise((done) => setTimeout(done, 20));
      return line.answers() > before;
    };
    const openNear = async () => {
      a = await line.open("near", { privateKey: near.privateKey, listenPort: a?.listenPort ?? 0 });
    };
    const addFar = () => a.addPeer({ publicKey: far.publicKey, presharedKey, allowedIps: [`${line.far}/32`] });

    before(async () => {
      await openNear();
      await addFar();
      b = await line.open("far", { privateKey: far.privateKey, fwmark: 51 });
      const endpoint = { address: "127.0.0.1", port: a.listenPort };
      await b.addPeer({ publicKey: near.publicKey, presharedKey, allowedIps: [`${line.near}/32`], endpoint, keepaliveS: 1 });
      await line.listen();
    });
    after(async () => {
      await a?.close();
      await b?.close();
      await line.close();
    });

    test(
      "shakes hands and carries",
      async () => {
        await until(answered);
        const stats = (await a.stats()).get(far.publicKey);
        assert.ok(stats && Math.abs(Date.now() - stats.handshakeMs) < 30_000);
        assert.notEqual(a.listenPort, 0);
        assert.equal(line.mtu(), lineMtu);
      },
      { skip },
    );

    test(
      "counts bytes of UDP payload: a packet's length in blocks of 16 and 32 more",
      async () => {
        const before = (await a.stats()).get(far.publicKey);
        const target = line.answers() + 50;
        for (let i = 0; i < 50; i += 1) line.ask(1000);
        await until(() => line.answers() >= target);
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
        console.log(`${line.kind}: suspend and resume ${times.map((ms) => ms.toFixed(2)).join(" ")} ms`);
      },
      { skip },
    );

    test(
      "refuses a network that another peer has, even while that one is suspended",
      async () => {
        const other = makeKeyPair().publicKey;
        await a.suspend(far.publicKey);
        await assert.rejects(a.addPeer({ publicKey: other, allowedIps: [`${line.far}/32`] }), /another peer/);
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
        const lines = allProcesses().map(({ command }) => command);
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
        line.kill();
        await a.stats().catch(() => undefined);
        console.log(`${line.kind}: ${await gone}`);
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
        assert.equal(line.isThere(), false);
      },
      { skip },
    );
  });
}
