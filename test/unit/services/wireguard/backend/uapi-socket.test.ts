import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectUapi } from "../../../../../src/services/wireguard/backend/uapi-socket.ts";
import { describe } from "../../../../support/harness.ts";
import { until } from "../../../../support/until.ts";

/** A device's socket where the test gives the answers, and what has been asked of it. */
async function device() {
  const directory = mkdtempSync(join(tmpdir(), "mystnode-uapi-"));
  const path = join(directory, "wg0.sock");
  const peers: Socket[] = [];
  const heard = { text: "" };
  const server = createServer((socket) => {
    peers.push(socket);
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      heard.text += chunk;
    });
  });
  await new Promise<void>((done) => server.listen(path, done));
  return {
    socket: await connectUapi(path),
    heard,
    say: (text: string) => peers[0]?.write(text),
    hangUp: () => peers[0]?.destroy(),
    [Symbol.asyncDispose]: async () => {
      for (const socket of peers) socket.destroy();
      await new Promise((done) => server.close(done));
      rmSync(directory, { recursive: true });
    },
  };
}

describe("wireguard/backend: a device's socket", (test) => {
  test("a request waits for the answer of the one before, for what follows a 'set' at once is lost in wireguard-go", async () => {
    await using far = await device();
    const first = far.socket.ask("set=1\n\n");
    const second = far.socket.ask("get=1\n\n");
    await until(() => far.heard.text !== "");
    assert.equal(far.heard.text, "set=1\n\n");
    // an answer may come in pieces, and a piece may end within its end
    far.say("errno=0\n");
    await new Promise((done) => setTimeout(done, 20));
    far.say("\n");
    assert.equal(await first, "errno=0");
    await until(() => far.heard.text === "set=1\n\nget=1\n\n");
    far.say("listen_port=5\nerrno=0\n\n");
    assert.equal(await second, "listen_port=5\nerrno=0");
    far.socket.close();
  });

  test("an answer that nobody asked for, or the end of the device, fails all that wait and all that come later", async () => {
    for (const end of ["errno=0\n\nerrno=0\n\n", undefined]) {
      await using far = await device();
      const asked = [far.socket.ask("get=1\n\n"), far.socket.ask("get=1\n\n")].map((answer) =>
        answer.then(
          () => "answered",
          (error: { code: string }) => error.code,
        ),
      );
      await until(() => far.heard.text !== "");
      if (end === undefined) far.hangUp();
      else far.say(end);
      assert.deepEqual(await Promise.all(asked), ["INTERNAL", "INTERNAL"]);
      await assert.rejects(far.socket.ask("get=1\n\n"), { code: "INTERNAL" });
    }
  });
});
