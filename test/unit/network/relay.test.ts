import assert from "node:assert/strict";
import { ofUseToOthers } from "../../../src/discovery/announcer.ts";
import { planListening } from "../../../src/network/relay-client.ts";
import { keepPace, roomForReservation } from "../../../src/network/relay-server.ts";
import { describe } from "../../support/harness.ts";

const KiB = 1024;
/** what comes of a stream that is paused until its sender has to wait */
const windowMessages = 4;
const search = ["/p2p-circuit", "/p2p-circuit"];

/** As much of a libp2p stream as the relay's queue has to do with: while it is paused, what comes stays in its buffer. */
function fakeStream() {
  const events = new EventTarget();
  const held: Uint8Array[] = [];
  let paused = false;
  let pauses = 0;
  const hand = () => {
    while (!paused && held.length > 0) events.dispatchEvent(Object.assign(new Event("message"), { data: held.shift() }));
  };
  return {
    addEventListener: events.addEventListener.bind(events),
    pause: () => {
      paused = true;
      pauses += 1;
    },
    resume: () => {
      paused = false;
      hand();
    },
    send: (_: Uint8Array) => true,
    come: (bytes: number) => {
      held.push(new Uint8Array(bytes));
      hand();
    },
    paused: () => paused,
    pauses: () => pauses,
    held: () => held.length,
  };
}

/** Two streams joined through a queue without an end, as libp2p's relay joins them. `deliver` is its receiving side taking one. */
function joined() {
  const [from, to] = [fakeStream(), fakeStream()];
  const queue: Uint8Array[] = [];
  keepPace(from as never, to as never);
  from.addEventListener("message", (event) => queue.push((event as Event & { data: Uint8Array }).data));
  return {
    from,
    queued: () => queue.reduce((sum, { length }) => sum + length, 0),
    deliver: () => {
      const next = queue.shift();
      if (next) to.send(next);
      return next !== undefined;
    },
  };
}

describe("network/relay: what a relay holds for two peers", (test) => {
  test("a sender that is faster than its receiver waits, and goes on when there is room; nothing is lost", () => {
    const { from, queued, deliver } = joined();
    const messages = 400;
    let sent = 0;
    let delivered = 0;
    let most = 0;
    while (delivered < messages) {
      // four messages a tick, until the stream's window is used up; one is taken
      for (let i = 0; i < 4 && sent < messages && from.held() < windowMessages; i += 1, sent += 1) from.come(64 * KiB);
      if (deliver()) delivered += 1;
      most = Math.max(most, queued());
    }
    assert.equal(from.held() + queued(), 0);
    assert.ok(from.pauses() > 5, `${from.pauses()} pauses`);
    assert.ok(most <= (512 + 64 * (windowMessages + 1)) * KiB, `${most}`);
  });

  test("without it the queue grows with all that comes", () => {
    const from = fakeStream();
    let queued = 0;
    from.addEventListener("message", (event) => {
      queued += (event as Event & { data: Uint8Array }).data.length;
    });
    for (let sent = 0; sent < 100; sent += 1) from.come(64 * KiB);
    assert.equal(queued, 6400 * KiB);
  });

  test("places: three of one network, /24 or /48, and any number of different ones", () => {
    const at = (ip: string) => `/ip4/${ip}/tcp/4001`;
    const taken = [at("203.0.113.1"), at("203.0.113.2"), at("203.0.113.3"), at("198.51.100.1"), "/ip6/2001:db8:1::1/tcp/1"];
    assert.equal(roomForReservation([at("203.0.113.4")], taken), false);
    assert.equal(roomForReservation([at("203.0.113.4")], taken.slice(1)), true);
    assert.equal(roomForReservation([at("198.51.100.2")], taken), true);
    assert.equal(roomForReservation(["/ip4/127.0.0.1/tcp/1"], Array(60).fill("/ip4/127.0.0.1/tcp/2")), true);
  });
});

describe("network/relay: who is to be reached through one", (test) => {
  const inside = ["/ip4/192.168.1.7", "/ip6/fe80::1", "/ip4/127.0.0.1"];
  const outside = [...inside, "/ip4/8.8.4.4"];

  test("auto: who listens and has no public address", () => {
    const any = ["/ip4/0.0.0.0/tcp/4480"];
    assert.deepEqual(planListening(any, "auto", inside), { direct: any, relays: search });
    assert.deepEqual(planListening(any, "auto", outside), { direct: any, relays: [] });
    assert.deepEqual(planListening(["/ip6/::/tcp/1"], "auto", outside).relays, search);
    assert.deepEqual(planListening(["/ip6/::/tcp/1"], "auto", [...inside, "/ip6/2606:4700::1"]).relays, []);
    assert.deepEqual(planListening(["/ip4/192.168.1.7/tcp/1"], "auto", outside).relays, search);
    assert.deepEqual(planListening(["/ip4/8.8.4.4/tcp/1"], "auto", inside).relays, []);
    for (const nobody of [[], ["/ip4/127.0.0.1/tcp/0"]]) assert.deepEqual(planListening(nobody, "auto", inside).relays, []);
  });

  test("or who is told to", () => {
    assert.deepEqual(planListening([], "use", outside), { direct: [], relays: search });
    assert.deepEqual(planListening(["/p2p-circuit"], "none", outside), { direct: [], relays: search });
    assert.deepEqual(planListening(["/ip4/0.0.0.0/tcp/1"], "none", inside).relays, []);
  });

  test("an offer names what leads to an exit from elsewhere, the relayed addresses last", () => {
    const [lan, loop, far] = ["/ip4/192.168.1.7/tcp/1/p2p/E", "/ip4/127.0.0.1/tcp/1/p2p/E", "/ip4/8.8.4.4/tcp/1/p2p/E"] as const;
    const relayed = (i: number) => `/ip4/9.9.9.${i}/tcp/1/p2p/R/p2p-circuit/p2p/E`;
    assert.deepEqual(ofUseToOthers([loop]), [loop]);
    assert.deepEqual(ofUseToOthers([loop, lan]), [lan]);
    assert.deepEqual(ofUseToOthers([loop, lan, far]), [far]);
    assert.deepEqual(ofUseToOthers([loop, lan, relayed(1)]), [relayed(1)]);
    assert.deepEqual(ofUseToOthers([relayed(1), relayed(2), far]), [far, relayed(1), relayed(2)]);
    const many = [...Array(8).fill(far), ...[1, 2, 3, 4].map(relayed)];
    assert.deepEqual(ofUseToOthers(many), [far, far, far, relayed(1), relayed(2), relayed(3)]);
  });
});
