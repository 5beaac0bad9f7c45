import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, type RequestListener, request } from "node:http";
import { connect } from "node:net";
import { describe } from "../../../support/harness.ts";
import { type Asked, ask, httpPort, speak, startWeb } from "../../../support/proxy-http.ts";
import { digest, inMemory, pattern, proxyRig, type RigOptions, readAll, startTarget } from "../../../support/proxy-rig.ts";
import { until } from "../../../support/until.ts";

const rigWith = (options?: RigOptions) => proxyRig(inMemory(), options);

describe("services/proxy: requests made on a program's behalf (http_proxy)", (test) => {
  test("the URL says where it goes, whatever the Host header says; what is for the proxy alone ends there", async () => {
    await using rig = await rigWith({ resolve: async (name) => (name === "site.test" ? ["127.0.0.1"] : []) });
    const seen: { url?: string; headers: string[] }[] = [];
    await using web = await startWeb((asked, answer) => {
      seen.push({ ...(asked.url !== undefined && { url: asked.url }), headers: asked.rawHeaders });
      answer.writeHead(200, "Fine", [
        ...["Set-Cookie", "a=1", "Set-Cookie", "b=2", "X-Case", "Kept", "Proxy-Authenticate", "Basic"],
        ...["Connection", "x-hop", "X-Hop", "1"],
      ]);
      answer.end("body");
    });
    const { status, raw, body } = await ask(rig, {
      url: `http://Site.TEST:${web.port}/a/../b?q=%7e#f`,
      headers: {
        Host: "169.254.169.254",
        "Proxy-Authorization": "Basic eDp5",
        "Proxy-Connection": "keep-alive",
        Connection: "X-Mine",
        "X-Mine": "1",
        TE: "trailers",
        Upgrade: "h2c",
        "X-Yours": "2",
      },
    });
    assert.equal(status, 200);
    assert.equal(String(body), "body");
    assert.deepEqual(seen, [{ url: "/a/../b?q=%7e", headers: ["Host", `site.test:${web.port}`, "X-Yours", "2", "Connection", "close"] }]);
    assert.deepEqual(raw.slice(0, 6), ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "X-Case", "Kept"]);
    assert.ok(!raw.some((name) => /^(via|x-hop|proxy-authenticate)$/i.test(name)), raw.join());
  });

  test("bodies both ways, with a length and in chunks, HEAD, 204 and 304; several requests over one connection, to several targets", async () => {
    await using rig = await rigWith();
    const big = pattern(2 << 20, 7);
    const listener: RequestListener = async (asked, answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of asked) chunks.push(chunk);
      const { length, chunked } = { length: asked.headers["content-length"], chunked: asked.headers["transfer-encoding"] };
      if (asked.url === "/204") return answer.writeHead(204).end();
      if (asked.url === "/304") return answer.writeHead(304, { ETag: "x" }).end();
      if (asked.url === "/big") return answer.end(big);
      answer.end(`${asked.method} ${length ?? ""} ${chunked ?? ""} ${digest(Buffer.concat(chunks))}`);
    };
    await using one = await startWeb(listener);
    await using other = await startWeb(listener);
    let sockets = 0;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { createConnection } = agent;
    agent.createConnection = (...args) => {
      sockets += 1;
      return createConnection.apply(agent, args);
    };
    const get = async (port: number, path: string, more: Partial<Asked> = {}) =>
      ask(rig, { url: `http://127.0.0.1:${port}${path}`, agent, ...more });
    const body = pattern(300_000, 3);
    const length = { "Content-Length": String(body.length) };
    assert.equal(String((await get(one.port, "/", { method: "POST", body, headers: length })).body), `POST 300000  ${digest(body)}`);
    const chunked = { "Transfer-Encoding": "chunked" };
    assert.equal(String((await get(other.port, "/", { method: "PUT", body, headers: chunked })).body), `PUT  chunked ${digest(body)}`);
    assert.equal(String((await get(one.port, "/")).body), `GET   ${digest(Buffer.alloc(0))}`);
    assert.equal((await get(one.port, "/204")).status, 204);
    assert.equal((await get(other.port, "/304")).headers.etag, "x");
    assert.equal(digest((await get(other.port, "/big")).body), digest(big));
    assert.equal(sockets, 1);
    const { status, body: none } = await get(one.port, "/", { method: "HEAD" });
    assert.deepEqual([status, none.length], [200, 0]);
    agent.destroy();
    await until(() => rig.grant.usedBytes() === rig.handle.usedBytes());
  });

  test("refusals and failures are answers", async () => {
    await using rig = await rigWith({ resolve: async () => [] });
    await using mute = await startTarget((socket) => socket.end());
    await using odd = await startTarget((socket) => socket.end("SSH-2.0-x\r\n"));
    const at = async (url: string) => {
      const { status, headers, body } = await ask(rig, { url, method: "POST", body: pattern(8 << 20) });
      return `${status} ${headers["proxy-status"]} ${String(body).trim()}`;
    };
    assert.match(
      await at("http://10.0.0.1/"),
      /^403 mystnode; error=destination_ip_prohibited mystnode: no connection to 10\.0\.0\.1:80: the/,
    );
    assert.match(await at("http://nowhere.test/"), /^502 mystnode; error=dns_error/);
    // other spellings are addresses by the time they are judged
    for (const host of ["0x7f.1", "0177.0.0.1", "2130706433", "127.1", "0", "[::ffff:7f00:1]"])
      assert.match(await at(`http://${host}:25/`), /^403 /, host);
    assert.match(await at(`http://127.0.0.1:${mute.port}/`), /^502 mystnode; error=http_response_incomplete mystnode: no answer from 127/);
    assert.match(await at(`http://127.0.0.1:${odd.port}/`), /^502 mystnode; error=http_response_incomplete/);
    assert.match(await at("https://example.org/"), /^400 .*CONNECT/);
    assert.match(await at("/"), /^400 .*not a web server/);
    assert.match(await at("ftp://example.org/"), /^400 /);
    assert.match(await at("http://:80/"), /^400 /);
    assert.match(await at("http://a b/".replace(" ", "%00")), /^400 /);
  });

  test("a program that says all it has to say before it listens gets its refusal, too", async () => {
    await using rig = await rigWith();
    const socket = connect({ port: httpPort(rig), host: "127.0.0.1" });
    const body = pattern(16 << 20);
    socket.write(`POST http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`);
    await new Promise((resolve) => socket.write(body, resolve));
    assert.match(String(await readAll(socket)), /^HTTP\/1\.1 403 /);
  });

  test("an answer that is cut short does not look whole", async () => {
    await using rig = await rigWith();
    await using target = await startTarget((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\nhalf of", () => setTimeout(() => socket.resetAndDestroy(), 20));
      });
    });
    const made = request({ port: httpPort(rig), host: "127.0.0.1", path: `http://127.0.0.1:${target.port}/`, agent: false });
    made.end();
    const [answer] = (await once(made, "response")) as [IncomingMessage];
    const ended = new Promise((resolve) => answer.on("error", (error: Error) => resolve(error.message)).on("end", () => resolve("whole")));
    answer.resume();
    assert.equal(await ended, "aborted");
  });

  test("a program that leaves, before the answer or within it, leaves nothing behind", async () => {
    await using rig = await rigWith();
    await using endless = await startTarget((socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
      const more = () => {
        while (!socket.destroyed && socket.write(pattern(64 << 10)));
      };
      socket.on("drain", more);
      socket.once("data", more);
    });
    await using silent = await startTarget((socket) => socket.resume());
    for (const { port, waits } of [
      { port: endless.port, waits: () => rig.handle.usedBytes() > 300_000n },
      { port: silent.port, waits: () => silent.received() > 0 },
    ]) {
      const made = request({ port: httpPort(rig), host: "127.0.0.1", path: `http://127.0.0.1:${port}/`, agent: false });
      made.on("error", () => undefined).on("response", (answer) => answer.on("error", () => undefined).resume());
      made.end();
      await until(waits);
      made.destroy();
    }
    await until(() => endless.sockets.size === 0 && silent.sockets.size === 0);
    await until(() => rig.grant.usedBytes() === rig.handle.usedBytes());
  });

  test("what is slow, garbage, or too long is hung up on", async () => {
    await using rig = await rigWith({ consumer: { handshakeMs: 200 } });
    assert.equal(await speak(rig, "GET http://127.0.0.1/ HTTP/1.1\r\nX:"), "");
    assert.equal(await speak(rig, "\0\0\0"), "");
    assert.match(await speak(rig, "GET  nonsense\r\n\r\n"), /^HTTP\/1.1 400 /);
    assert.match(await speak(rig, `GET http://127.0.0.1/ HTTP/1.1\r\nX: ${"x".repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 431 /);
  });
});
