import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createLocalServer } from "../../../../src/services/proxy/local-server.ts";
import { createStanding } from "../../../../src/services/proxy/standing.ts";
import type { OnWanted, Wanted } from "../../../../src/services/proxy/wanted.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";

const open = (on: OnWanted) => createLocalServer({ listen: "127.0.0.1:0", allowRemote: false, handshakeMs: 2_000 }, on);
const standing = (waitMs = 2_000) => createStanding({ open, waitMs });

/** Asks for a connection over HTTP; what it is told. */
async function ask(address: string): Promise<string> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.write("CONNECT target:80 HTTP/1.1\r\n\r\n");
  const [answer] = await once(socket, "data");
  socket.destroy();
  return String(answer).split("\r\n")[0] ?? "";
}
/** A session that answers, and notes for whom. */
const session = () => {
  const asked: string[] = [];
  const on: OnWanted = {
    connection: ({ host, answer }) => {
      asked.push(host);
      answer("ok");
    },
    datagrams: ({ answer }) => answer(undefined),
  };
  return { on, asked };
};

describe("proxy/standing: a server that outlives sessions", (test) => {
  test("is where it was for the next session, which gets what is asked for from then on", async () => {
    const one = standing();
    const [first, second] = [session(), session()];
    const before = await one.lease(first.on);
    assert.match(await ask(before.address), /200/);
    before.stop();
    await before.close();
    const after = await one.lease(second.on);
    assert.equal(after.address, before.address);
    // a session that ends late takes nothing from the one after it
    before.stop();
    assert.match(await ask(after.address), /200/);
    assert.deepEqual([first.asked, second.asked], [["target"], ["target"]]);
    await one.close();
  });

  test("what comes between two sessions waits for the next, and who has gone meanwhile is not passed on", async () => {
    const one = standing();
    const [first, second] = [session(), session()];
    const before = await one.lease(first.on);
    before.stop();
    const waiting = ask(before.address);
    const gone = connect(Number(before.address.split(":")[1]), "127.0.0.1");
    gone.write("CONNECT gone:80 HTTP/1.1\r\n\r\n");
    await new Promise((done) => setTimeout(done, 100));
    gone.resetAndDestroy();
    await new Promise((done) => setTimeout(done, 100));
    await one.lease(second.on);
    assert.match(await waiting, /200/);
    assert.deepEqual([first.asked, second.asked], [[], ["target"]]);
    await one.close();
  });

  test("nobody waits for ever, nor longer than it stands", async () => {
    const one = standing(100);
    const { address, stop } = await one.lease(session().on);
    stop();
    assert.match(await ask(address), /50\d/);
    const other = standing(60_000);
    const lease = await other.lease(session().on);
    lease.stop();
    const waiting = ask(lease.address);
    await new Promise((done) => setTimeout(done, 100));
    await other.close();
    assert.match(await waiting, /50\d/);
    await one.close();
    assert.equal(other.stands(), false);
    await assert.rejects(ask(lease.address));
  });

  test("what came to nothing is asked for again, of the session there is then, and not for ever", async () => {
    const one = standing(1_000);
    const failing: Wanted[] = [];
    const first = await one.lease({ ...session().on, connection: (wanted) => void failing.push(wanted) });
    const told = ask(first.address);
    await until(() => failing.length === 1);
    assert.equal(one.again(failing[0] as Wanted), true);
    await until(() => failing.length === 2);
    assert.equal(one.again(failing[1] as Wanted), true);
    first.stop();
    const second = session();
    await one.lease(second.on);
    assert.match(await told, /200/);
    assert.deepEqual(second.asked, ["target"]);
    await new Promise((done) => setTimeout(done, 1_000));
    assert.equal(one.again(failing[0] as Wanted), false);
    await one.close();
  });

  test("a port that is taken is told, and may be free the next time", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const listen = `127.0.0.1:${port}`;
    const one = createStanding({ open: (on) => createLocalServer({ listen, allowRemote: false, handshakeMs: 2_000 }, on), waitMs: 100 });
    await assert.rejects(one.lease(session().on), { code: "PORT_IN_USE" });
    assert.equal(one.stands(), false);
    await new Promise((done) => taken.close(done));
    assert.equal((await one.lease(session().on)).address, listen);
    await one.close();
  });
});
