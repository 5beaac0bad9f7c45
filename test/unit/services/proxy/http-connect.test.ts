import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { authorityOf } from "../../../../src/services/proxy/http-side.ts";
import type { Resolve } from "../../../../src/services/proxy/resolve.ts";
import { describe } from "../../../support/harness.ts";
import { httpPort, speak } from "../../../support/proxy-http.ts";
import { digest, inMemory, pattern, pause, proxyRig, type Rig, type RigOptions, readAll, startTarget } from "../../../support/proxy-rig.ts";

const rigWith = (options?: RigOptions) => proxyRig(inMemory(), options);

describe("services/proxy: HTTP CONNECT, on the port of SOCKS5", (test) => {
  const tunnel = async (rig: Rig, to: string): Promise<Socket> => {
    const socket = connect({ port: httpPort(rig), host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => undefined);
    // a Host header is there for servers: where it goes is the request's own word
    socket.write(`CONNECT ${to} HTTP/1.1\r\nHost: 10.0.0.1:1\r\nProxy-Authorization: Basic eDp5\r\n\r\n`);
    const [head] = (await once(socket, "data")) as [Buffer];
    assert.equal(String(head), "HTTP/1.1 200 Connection established\r\n\r\n");
    return socket;
  };

  test("carries both ways, intact, each half closed by itself; SOCKS5 beside it", async () => {
    await using rig = await rigWith();
    const up = pattern(3 << 20, 1);
    await using target = await startTarget(async (socket) => {
      const got = digest(await readAll(socket));
      await pause(20);
      socket.end(got);
    });
    const [one, other] = await Promise.all([tunnel(rig, `127.0.0.1:${target.port}`), rig.connect(target)]);
    for (const socket of [one, other]) socket.end(up);
    assert.deepEqual(await Promise.all([one, other].map(async (socket) => String(await readAll(socket)))), [digest(up), digest(up)]);
    assert.equal(await rig.handle.close(), 2n * BigInt(up.length + 64));
    assert.equal(await rig.grant.end(), 2n * BigInt(up.length + 64));
    assert.equal(rig.handle.endpoint.http, rig.handle.endpoint.socks);
  });

  test("a request that comes byte by byte, and what a program sends ahead, are carried", async () => {
    await using rig = await rigWith();
    await using target = await startTarget((socket) => socket.pipe(socket));
    const socket = connect({ port: httpPort(rig), host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    const all = readAll(socket);
    for (const letter of `CONNECT 127.0.0.1:${target.port} HTTP/1.1\r\nHost: x\r\n\r\nearly bird`) {
      socket.write(letter);
      await pause(1);
    }
    socket.end();
    assert.equal(String(await all), "HTTP/1.1 200 Connection established\r\n\r\nearly bird");
    const atOnce = connect({ port: httpPort(rig), host: "127.0.0.1", allowHalfOpen: true });
    atOnce.end(`CONNECT 127.0.0.1:${target.port} HTTP/1.1\r\n\r\nall at once`);
    assert.match(String(await readAll(atOnce)), /\r\n\r\nall at once$/);
  });

  test("each reason has its status, a word for programs and one for people", async () => {
    const resolve: Resolve = async (name, signal) => {
      if (name === "slow.test") return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      return { "private.test": ["10.0.0.1"], "v6.test": ["2606:4700::1"] }[name] ?? [];
    };
    await using rig = await rigWith({ resolve, provider: { dialTimeoutMs: 200, egressAddress: "127.0.0.1", maxStreams: 1 } });
    const gone = await startTarget(() => undefined);
    await gone[Symbol.asyncDispose]();
    const said = async (authority: string) => {
      const answer = await speak(rig, `CONNECT ${authority} HTTP/1.1\r\n\r\n`);
      const [head = "", body] = answer.split("\r\n\r\n");
      const { status, error } = /^HTTP\/1.1 (?<status>\d+).*Proxy-Status: mystnode; error=(?<error>\w+)/s.exec(head)?.groups ?? {};
      return `${status} ${error}: ${body?.trim()}`;
    };
    const no = (authority: string) => `mystnode: no connection to ${authority}:`;
    const expected = {
      "10.0.0.1:80": [403, "destination_ip_prohibited", "the exit's policy does not allow it"],
      "private.test:80": [403, "destination_ip_prohibited", "the exit's policy does not allow it"],
      "[::ffff:10.0.0.1]:80": [403, "destination_ip_prohibited", "the exit's policy does not allow it"],
      "nowhere.test:80": [502, "dns_error", "the exit does not find that name"],
      [`127.0.0.1:${gone.port}`]: [502, "connection_refused", "it refuses the connection"],
      "v6.test:80": [502, "destination_ip_unroutable", "its network cannot be reached from the exit"],
      "slow.test:80": [504, "connection_timeout", "it did not answer the exit in time"],
    };
    for (const [authority, [status, error, text]] of Object.entries(expected))
      assert.equal(await said(authority), `${status} ${error}: ${no(authority)} ${text}`);
    await using target = await startTarget((socket) => socket.resume());
    const socket = await tunnel(rig, `127.0.0.1:${target.port}`);
    assert.match(await said(`127.0.0.1:${target.port}`), /^503 connection_limit_reached/);
    socket.destroy();
    assert.equal(rig.grant.usedBytes(), 0n);
  });

  test("what is no authority is 400", async () => {
    await using rig = await rigWith();
    for (const bad of ["example.org", "example.org:0", "example.org:65536", ":80", "a@b:80", "[::1]", "[x]:80", "a/b:80", "::1:80"])
      assert.match(await speak(rig, `CONNECT ${bad} HTTP/1.1\r\n\r\n`), /^HTTP\/1.1 400 /, bad);
    assert.deepEqual(authorityOf("example.org:443"), { host: "example.org", port: 443 });
    assert.deepEqual(authorityOf("[2001:db8::1]:443"), { host: "2001:db8::1", port: 443 });
  });

  test("closing ends tunnels, and programs that have not asked yet", async () => {
    const rig = await rigWith();
    await using target = await startTarget((socket) => socket.pipe(socket));
    const open = await tunnel(rig, `127.0.0.1:${target.port}`);
    const half = connect({ port: httpPort(rig), host: "127.0.0.1" });
    half.write("CONNECT 127.0.0.1:");
    await pause(20);
    const closed = [open, half].map(
      (socket) =>
        new Promise((resolve) =>
          socket
            .on("error", () => undefined)
            .once("close", resolve)
            .resume(),
        ),
    );
    await rig[Symbol.asyncDispose]();
    open.end();
    await Promise.all(closed);
  });
});
