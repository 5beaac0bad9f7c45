import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { connect, createServer } from "node:net";
import fc from "fast-check";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { messages, type NameServer, prefixed } from "../../../../src/services/wireguard/dns-ask.ts";
import { type DnsForwarderOptions, listenOnBoth, serveDns } from "../../../../src/services/wireguard/dns-forwarder.ts";
import { failureFor, nameServers, questionOf } from "../../../../src/services/wireguard/dns-message.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";

const name = (text: string) =>
  Buffer.concat([...text.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])]);
const message = (id: number, text: string, flags: number, rest: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([
    Buffer.from([id >> 8, id & 0xff, flags >> 8, flags & 0xff, 0, 1, 0, 0, 0, 0, 0, 0]),
    name(text),
    Buffer.from([0, 1, 0, 1]),
    rest,
  ]);
const query = (id: number, text: string, rest?: Buffer) => message(id, text, 0x0100, rest);

type Upstream = AsyncDisposable & {
  server: NameServer;
  asked: { id: number; port: number }[];
  answer(to: (asked: Buffer) => Buffer[]): void;
};

/** A name server that answers what the test says; by default with the question and 4 bytes more. */
async function upstream(): Promise<Upstream> {
  const asked: { id: number; port: number }[] = [];
  let answers = (question: Buffer): Buffer[] => {
    const answer = Buffer.concat([question, Buffer.from("addr")]);
    answer[2] = 0x81;
    return [answer];
  };
  const tcp = createServer(async (socket) => {
    socket.on("error", () => undefined);
    for await (const question of messages(socket, 65_535))
      for (const answer of answers(Buffer.from(question))) socket.write(prefixed(answer));
  });
  const udp = await listenOnBoth(tcp, 0, "127.0.0.1");
  udp.on("message", (question, from) => {
    asked.push({ id: question.readUInt16BE(0), port: from.port });
    for (const answer of answers(question)) udp.send(answer, from.port, from.address);
  });
  return {
    server: { address: "127.0.0.1", port: udp.address().port },
    asked,
    answer: (to) => {
      answers = to;
    },
    [Symbol.asyncDispose]: async () => {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
    },
  };
}

const forwarder = (servers: NameServer[], more: Partial<DnsForwarderOptions> = {}) =>
  serveDns(
    { log: silentLogger, clock: { nowMs: () => 0 } },
    { address: "127.0.0.1", port: 0, servers: async () => servers, serverMs: 300, ...more },
  );

/** A client that keeps what it is told. */
async function client(port: number): Promise<AsyncDisposable & { socket: Socket; told: Buffer[]; ask(question: Buffer): void }> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const told: Buffer[] = [];
  socket.on("message", (answer) => told.push(answer));
  return {
    socket,
    told,
    ask: (question) => socket.send(question, port, "127.0.0.1"),
    [Symbol.asyncDispose]: async () => void socket.close(),
  };
}

describe("wireguard/dns: messages", (test) => {
  test("a question is one question, and its name is compared without case", () => {
    const found = questionOf(query(7, "Example.org"), "query");
    assert.deepEqual([found?.id, found?.length], [7, 12 + 13 + 4]);
    assert.equal(found?.key, questionOf(query(8, "eXAMPLE.org"), "query")?.key);
    assert.notEqual(found?.key, questionOf(query(7, "example.net"), "query")?.key);
    assert.equal(questionOf(query(7, "a"), "answer"), undefined);
    assert.equal(questionOf(query(7, "a").subarray(0, 16), "query"), undefined);
    const two = query(7, "a");
    two[5] = 2;
    assert.equal(questionOf(two, "query"), undefined);
    const pointer = query(7, "a");
    pointer[12] = 0xc0;
    assert.equal(questionOf(pointer, "query"), undefined);
  });

  test("nothing that comes in makes it throw or read past the end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, answer) => {
        const found = questionOf(bytes, answer ? "answer" : "query");
        if (!found) return;
        assert.ok(found.length <= bytes.length);
        assert.equal(failureFor(bytes, found).length, found.length);
      }),
    );
  });

  test("reads resolv.conf as the C library does", () => {
    const text =
      "# nameserver 1.1.1.1\nnameserver 192.0.2.1\nsearch lan\n nameserver fe80::1%eth0\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";
    assert.deepEqual(nameServers(text), ["192.0.2.1", "fe80::1", "192.0.2.3"]);
  });
});

describe("wireguard/dns: the forwarder", (test) => {
  test("hands an answer back as it is, under the id that was asked with", async () => {
    await using up = await upstream();
    await using dns = await forwarder([up.server]);
    await using one = await client(dns.port);
    const asked = query(4711, "example.org", Buffer.from("edns"));
    one.ask(asked);
    await until(() => one.told.length === 1);
    const expected = Buffer.concat([asked, Buffer.from("addr")]);
    expected[2] = 0x81;
    assert.deepEqual(one.told[0], expected);
  });

  test("asks from another port and under another id each time", async () => {
    await using up = await upstream();
    await using dns = await forwarder([up.server]);
    await using one = await client(dns.port);
    for (let i = 0; i < 20; i += 1) one.ask(query(1, `n${i}`));
    await until(() => one.told.length === 20);
    assert.ok(new Set(up.asked.map(({ port }) => port)).size > 10);
    assert.ok(new Set(up.asked.map(({ id }) => id)).size > 10);
  });

  test("takes no answer to another question, nor under another id", async () => {
    await using up = await upstream();
    await using dns = await forwarder([up.server]);
    await using one = await client(dns.port);
    up.answer((asked) => {
      const id = asked.readUInt16BE(0);
      return [
        message(id, "evil.org", 0x8180),
        message(id ^ 1, "example.org", 0x8180),
        asked,
        Buffer.from("x"),
        message(id, "example.org", 0x8183),
      ];
    });
    one.ask(query(9, "example.org"));
    await until(() => one.told.length === 1);
    assert.deepEqual(one.told[0], message(9, "example.org", 0x8183));
  });

  test("takes another port when the one it was given is taken for TCP; a port that was named it does not change", async () => {
    const busy = () => {
      const tcp = createServer();
      const { listen } = tcp;
      let refusals = 2;
      tcp.listen = ((...args: never[]) => {
        refusals -= 1;
        if (refusals < 0) return listen.apply(tcp, args as unknown as Parameters<typeof listen>);
        tcp.emit("error", Object.assign(new Error("taken"), { code: "EADDRINUSE" }));
        return tcp;
      }) as typeof listen;
      return tcp;
    };
    const tcp = busy();
    const udp = await listenOnBoth(tcp, 0, "127.0.0.1");
    const { port } = udp.address();
    assert.equal((tcp.address() as { port: number }).port, port);
    udp.close();
    await new Promise((resolve) => tcp.close(resolve));
    await assert.rejects(listenOnBoth(busy(), port, "127.0.0.1"), /taken/);
  });

  test("asks the next server when one does not answer, and says so when none does", async () => {
    await using silent = await upstream();
    silent.answer(() => []);
    await using up = await upstream();
    await using dns = await forwarder([silent.server, up.server]);
    await using one = await client(dns.port);
    one.ask(query(1, "a"));
    await until(() => one.told.length === 1);
    assert.equal((one.told[0] ?? Buffer.alloc(4)).readUInt16BE(2) & 0xf, 0);
    await using none = await forwarder([silent.server]);
    await using other = await client(none.port);
    other.ask(query(2, "a"));
    await until(() => other.told.length === 1);
    assert.deepEqual(other.told[0], message(2, "a", 0x8182));
  });

  test("what is no plain question gets no answer and asks nobody", async () => {
    await using up = await upstream();
    await using dns = await forwarder([up.server]);
    await using one = await client(dns.port);
    one.ask(Buffer.from("hello"));
    one.ask(message(1, "a", 0x8180));
    one.ask(query(1, "a", Buffer.alloc(1_300)));
    one.ask(query(2, "b"));
    await until(() => one.told.length === 1);
    assert.equal(up.asked.length, 1);
  });

  test("one client has only so many questions open at a time", async () => {
    await using up = await upstream();
    const kept: Buffer[] = [];
    up.answer((asked) => {
      kept.push(asked);
      return [];
    });
    await using dns = await forwarder([up.server], { maxPerClient: 3 });
    await using one = await client(dns.port);
    for (let i = 0; i < 10; i += 1) one.ask(query(i, `n${i}`));
    await until(() => one.told.length === 3);
    assert.equal(kept.length, 3);
  });

  test("over TCP an answer may be as long as it gets, one after the other", async () => {
    await using up = await upstream();
    up.answer((asked) => {
      const answer = Buffer.concat([asked, Buffer.alloc(60_000, 7)]);
      answer[2] = 0x81;
      return [answer];
    });
    await using dns = await forwarder([up.server]);
    const socket = connect(dns.port, "127.0.0.1");
    socket.write(Buffer.concat([prefixed(query(1, "a")), prefixed(query(2, "b"))]));
    const told: Uint8Array[] = [];
    for await (const answer of messages(socket, 65_535)) {
      told.push(answer);
      if (told.length === 2) break;
    }
    assert.deepEqual(
      told.map((answer) => [answer[1], answer.length]),
      [
        [1, 60_000 + 19],
        [2, 60_000 + 19],
      ],
    );
    socket.destroy();
  });

  test("a connection that asks nothing, or too much at a time, is ended", async () => {
    await using up = await upstream();
    await using dns = await forwarder([up.server], { idleMs: 100 });
    for (const first of [Buffer.alloc(0), Buffer.from([0xff, 0xff, 0])]) {
      const socket = connect(dns.port, "127.0.0.1");
      socket.write(first);
      await new Promise((resolve) => socket.resume().once("close", resolve));
    }
  });

  test("says where it cannot listen", async () => {
    await using taken = await forwarder([]);
    await assert.rejects(forwarder([], { port: taken.port }), { code: "TUNNEL_FAILED" });
  });
});
