import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { IncomingMessage } from "node:http";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { queryObjects } from "node:v8";
import { createApi } from "../../../src/api/api.ts";
import { createApiClient } from "../../../src/api/client.ts";
import { listenSocket } from "../../../src/api/socket.ts";
import { socketPathOf } from "../../../src/api/socket-path.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { fakeNode, session } from "./fake-node.ts";

const inDirectory = async (work: (directory: string) => Promise<void>) => {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-socket-"));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};
const clientOf = (directory: string) => createApiClient({ socket: socketPathOf(directory) });
const throws = (code: string) => (error: unknown) => isMystError(error) && error.code === code && error.hint !== undefined;

describe("api/socket", (test) => {
  test("serves calls and streams to the owner and the group, and is gone afterwards", () =>
    inDirectory(async (directory) => {
      const fake = fakeNode();
      const listening = await listenSocket(createApi(fake.node), directory);
      assert.equal((await stat(listening.path)).mode & 0o777, 0o660);
      const client = clientOf(directory);
      assert.deepEqual((await client.call("sessions")).sessions, [session]);
      for await (const item of client.stream("deposit", { amount: 1n, bond: 2n })) assert.match(item.type, /sent|done/);
      const events = client.stream("events");
      const first = events.next();
      while (fake.listeners.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      fake.emit({ type: "peer", peer: "p", connected: true });
      assert.deepEqual((await first).value, { event: { type: "peer", peer: "p", connected: true } });
      await events.return(undefined);
      while (fake.listeners.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await listening[Symbol.asyncDispose]();
      assert.equal(existsSync(listening.path), false);
      await assert.rejects(client.call("status"), throws("NODE_NOT_RUNNING"));
    }));

  test("a client that goes away in the middle of a connect ends the attempt", () =>
    inDirectory(async (directory) => {
      const fake = fakeNode();
      await using _ = await listenSocket(createApi(fake.node), directory);
      const wish = { service: "proxy", maxPerGiB: 1n, maxPerHour: 1n, budget: 1n, proxy: "127.0.0.1:0", city: "slow" } as const;
      const gone = new AbortController();
      const items = clientOf(directory).stream("connect", wish, gone.signal);
      assert.equal((await items.next()).value?.type, "step");
      const next = items.next();
      gone.abort();
      await assert.rejects(next, (error) => isMystError(error, "INTERRUPTED"));
      const { signal } = fake.given();
      while (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
    }));

  test("nothing stays in memory of a request that is over, of a call or of a stream", () =>
    inDirectory(async (directory) => {
      const fake = fakeNode();
      await using _ = await listenSocket(createApi(fake.node), directory);
      const client = clientOf(directory);
      const rounds = 20;
      // it collects garbage itself, and what that sets free is let go of a moment later
      const alive = () => queryObjects(IncomingMessage, { format: "count" });
      const all = async () => {
        for (let i = 0; i < rounds; i += 1) {
          await client.call("status");
          for await (const _ of client.stream("deposit", { amount: 1n, bond: 2n }));
          const events = client.stream("events");
          const first = events.next();
          await until(() => fake.listeners.size > 0);
          fake.emit({ type: "peer", peer: "p", connected: true });
          await first;
          await events.return(undefined);
          await until(() => fake.listeners.size === 0);
        }
      };
      await all();
      await until(() => alive() < rounds / 2, 5_000);
    }));

  test("nobody there, no directory, a file for a directory: NODE_NOT_RUNNING", () =>
    inDirectory(async (directory) => {
      await assert.rejects(clientOf(directory).call("status"), throws("NODE_NOT_RUNNING"));
      await assert.rejects(clientOf(join(directory, "none")).call("status"), throws("NODE_NOT_RUNNING"));
      await writeFile(join(directory, "file"), "");
      await assert.rejects(clientOf(join(directory, "file")).call("status"), throws("NODE_NOT_RUNNING"));
    }));

  test("a socket that a killed node left is nobody, and is replaced", () =>
    inDirectory(async (directory) => {
      const script = `require("net").createServer().listen(${JSON.stringify(socketPathOf(directory))}, () => console.log("up"))`;
      const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
      await once(child.stdout, "data");
      child.kill("SIGKILL");
      await once(child, "exit");
      assert.equal(existsSync(socketPathOf(directory)), true);
      await assert.rejects(clientOf(directory).call("status"), throws("NODE_NOT_RUNNING"));
      await using _ = await listenSocket(createApi(fakeNode().node), directory);
      assert.equal((await clientOf(directory).call("status")).network, "fake");
    }));

  test("what is no socket is left alone", () =>
    inDirectory(async (directory) => {
      await writeFile(socketPathOf(directory), "mine");
      await assert.rejects(listenSocket(createApi(fakeNode().node), directory), throws("DATA_DIR_UNUSABLE"));
      assert.equal((await stat(socketPathOf(directory))).size, 4);
    }));

  test("a directory that cannot be listened in says so", () =>
    assert.rejects(listenSocket(createApi(fakeNode().node), "/nonexistent-mystnode"), throws("DATA_DIR_UNUSABLE")));

  test("a path longer than a socket's address can hold works all the same", async () => {
    if (process.platform !== "linux") return;
    await inDirectory(async (directory) => {
      const deep = join(directory, "d".repeat(100), "e".repeat(100));
      await mkdir(deep, { recursive: true });
      const listening = await listenSocket(createApi(fakeNode().node), deep);
      assert.equal((await stat(join(deep, "api.sock"))).mode & 0o777, 0o660);
      assert.equal((await clientOf(deep).call("status")).network, "fake");
      await listening[Symbol.asyncDispose]();
      assert.equal(existsSync(join(deep, "api.sock")), false);
      await assert.rejects(clientOf(deep).call("status"), throws("NODE_NOT_RUNNING"));
    });
  });

  test("who does not answer in time is unreachable, who is interrupted is interrupted", () =>
    inDirectory(async (directory) => {
      const server = createServer();
      const sockets: Socket[] = [];
      server.on("connection", (socket) => sockets.push(socket));
      await new Promise<void>((resolve) => server.listen(socketPathOf(directory), resolve));
      const call = (signal: AbortSignal) => clientOf(directory).call("status", {}, signal);
      await assert.rejects(call(AbortSignal.timeout(50)), throws("NODE_UNREACHABLE"));
      await assert.rejects(call(AbortSignal.abort()), (error) => isMystError(error, "INTERRUPTED"));
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }));

  test("who ends the connection in mid-answer, or talks nonsense, is unreachable", () =>
    inDirectory(async (directory) => {
      const answers = [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nnot json",
        "nonsense\r\n\r\n",
      ];
      const server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.once("data", () => socket.end(answers.shift() ?? ""));
      });
      await new Promise<void>((resolve) => server.listen(socketPathOf(directory), resolve));
      for (const _ of [...answers]) await assert.rejects(clientOf(directory).call("status"), throws("NODE_UNREACHABLE"));
      await new Promise((resolve) => server.close(resolve));
    }));
});
