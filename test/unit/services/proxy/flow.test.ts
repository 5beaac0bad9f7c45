import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { drainSocket, whenClosed } from "../../../../src/services/proxy/flow.ts";
import { describe } from "../../../support/harness.ts";

/** Two ends of a connection. */
async function open() {
  await using undo = new AsyncDisposableStack();
  const server = createServer();
  undo.defer(() => void server.close());
  const other = once(server, "connection") as Promise<[Socket]>;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  undo.defer(() => void socket.destroy());
  const [far] = await other;
  far.on("error", () => undefined);
  const opened = undo.move();
  return { socket, far, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

describe("services/proxy/flow: a socket that closes while its last bytes are being taken", (test) => {
  for (const [name, ending, isGood] of [
    ["after a good end all has been said", (far: Socket) => far.end(), true],
    ["after a reset it is an error", (far: Socket) => far.resetAndDestroy(), false],
  ] as const)
    test(name, async () => {
      await using ends = await open();
      const { socket, far } = ends;
      const taken: string[] = [];
      // as a stream whose window is used up: it takes the bytes only once the socket is gone
      const draining = drainSocket(socket, async (bytes) => {
        taken.push(String(bytes));
        socket.end();
        // its end is read meanwhile, as one is that comes with the last bytes
        socket.resume();
        ending(far);
        await whenClosed(socket);
      });
      far.write("bye");
      if (isGood) await draining;
      else await assert.rejects(draining);
      assert.deepEqual(taken, ["bye"]);
    });
});
