import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { blake2s } from "@noble/hashes/blake2.js";
import { isMystError, MystError } from "../../../../src/lib/errors.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { Network } from "../../../../src/network/network.ts";
import type { Place } from "../../../../src/services/nat.ts";
import { openRelayProvider } from "../../../../src/services/relay/provider.ts";
import { askSeen, greeted, seenBy } from "../../../../src/services/seeing.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";

const refused = (error: unknown) => isMystError(error, "PEER_REFUSED");
const soon = () => AbortSignal.timeout(5_000);
const localhost = "127.0.0.1";

/** As WireGuard makes it, as far as anybody but the receiver can tell (mac1: Blake2s under the hash of a label and the receiver's key). */
function greeting(key: Uint8Array): Buffer {
  const message = Buffer.concat([Buffer.from([1, 0, 0, 0]), randomBytes(144)]);
  const macKey = blake2s(Buffer.concat([Buffer.from("mac1----"), key]));
  message.set(blake2s(message.subarray(0, 116), { key: macKey, dkLen: 16 }), 116);
  return message;
}

/** A relay on loopback, and a way to ask it as one peer or another. */
async function opened(sessions = 4) {
  let nowMs = 1_000;
  let answerer: Parameters<Network["answer"]>[2] | undefined;
  const network: Pick<Network, "answer"> = {
    answer: async (_, __, answer) => {
      answerer = answer;
    },
  };
  const relay = await openRelayProvider({ network, clock: { nowMs: () => nowMs }, log: silentLogger }, { port: 0, sessions });
  const as = (peer: string): Pick<Network, "ask"> => ({
    ask: async (_, __, question) => {
      return (
        (await answerer?.(question, peer).catch((cause) => {
          throw new MystError("PEER_REFUSED", "refused", { cause });
        })) ?? new Uint8Array()
      );
    },
  });
  const sockets: Socket[] = [];
  const socket = async () => {
    const made = createSocket("udp4");
    sockets.push(made);
    made.bind(0, localhost);
    await once(made, "listening");
    const got: string[] = [];
    made.on("message", (text) => got.push(String(text)));
    const send = (data: string | Uint8Array, to: Place) => void made.send(data, to.port, to.address);
    return {
      at: { address: localhost, port: made.address().port },
      got,
      send,
      greet: async (key: Uint8Array, to: Place) => send(greeting(key), to),
    };
  };
  return {
    relay,
    as,
    socket,
    pass: (ms: number) => {
      nowMs += ms;
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of sockets) one.close();
      await relay[Symbol.asyncDispose]();
    },
  };
}

describe("relay: where a socket is seen", (test) => {
  test("whoever has a key and greets with it is told where that came from; nobody else is", async () => {
    await using rig = await opened();
    const mine = await rig.socket();
    const observer = { peer: "relay", address: localhost };
    let key: Uint8Array = new Uint8Array();
    const greet = async (given: Uint8Array, to: Place) => {
      key = given;
      await mine.greet(given, to);
    };
    assert.deepEqual(await seenBy(rig.as("me"), observer, greet, soon()), mine.at);
    assert.deepEqual(await askSeen(rig.as("me"), "relay", key, soon()), mine.at);
    await assert.rejects(askSeen(rig.as("other"), "relay", key, soon()), refused);
  });

  test("what is no greeting, or one to another key, shows nothing", async () => {
    await using rig = await opened();
    const mine = await rig.socket();
    const wrong = async (key: Uint8Array, to: Place) => {
      mine.send(greeting(Uint8Array.from(randomBytes(32))), to);
      mine.send(greeting(key).subarray(1), to);
      const changed = greeting(key);
      changed[20] = (changed[20] ?? 0) ^ 1;
      mine.send(changed, to);
    };
    await assert.rejects(seenBy(rig.as("me"), { peer: "relay", address: localhost }, wrong, soon()), refused);
    assert.deepEqual(mine.got, [], "nothing is answered");
  });

  test("one peer has so many keys at a time, and no more", async () => {
    await using rig = await opened();
    const late = AbortSignal.timeout(300);
    const asked = Array.from({ length: 9 }, () => seenBy(rig.as("me"), { peer: "relay", address: localhost }, async () => undefined, late));
    const ended = Promise.allSettled(asked.slice(0, 8));
    await assert.rejects(asked[8] as Promise<Place>, refused);
    await ended;
  });
});

describe("relay: a session", (test) => {
  /** admitted, with both ends bound */
  async function bound(rig: Awaited<ReturnType<typeof opened>>) {
    const grant = await rig.relay.admit({ sessionId: "01", peer: "me" });
    const { port, near, far } = grant.connection as { port: number; near: Uint8Array; far: Uint8Array };
    const at = { address: localhost, port };
    const [one, other] = [await rig.socket(), await rig.socket()];
    await greeted(rig.as("me"), "relay", { key: near, to: at }, one.greet, soon());
    await greeted(rig.as("me"), "relay", { key: far, to: at }, other.greet, soon());
    /** The far end goes elsewhere; all that was sent before has been dealt with then. */
    const moved = async () => {
      const next = await rig.socket();
      await next.greet(far, at);
      await until(async () => (await askSeen(rig.as("me"), "relay", far, soon())).port === next.at.port);
      return next;
    };
    return { grant, at, near, one, other, moved };
  }

  test("carries between those who have greeted, and for nobody else", async () => {
    await using rig = await opened();
    const { grant, at, one, other } = await bound(rig);
    const stranger = await rig.socket();
    grant.allow(1_000n, 60_000);
    stranger.send("stranger", at);
    one.send("there", at);
    await until(() => other.got.length > 0);
    other.send("and back", at);
    await until(() => one.got.length > 0);
    assert.deepEqual([one.got, other.got, stranger.got], [["and back"], ["there"], []]);
    grant.acknowledge?.(8n);
    assert.equal(grant.usedBytes(), 13n);
  });

  test("carries what is paid for, byte for byte, and while it is", async () => {
    await using rig = await opened();
    const { grant, at, one, other, moved } = await bound(rig);
    one.send("unpaid", at);
    const second = await moved();
    grant.allow(9n, 60_000);
    one.send("12345", at);
    one.send("67890", at);
    one.send("6789", at);
    await until(() => second.got.length >= 2);
    assert.deepEqual(second.got, ["12345", "6789"]);
    grant.allow(100n, 60_000);
    rig.pass(60_000);
    one.send("late", at);
    const third = await moved();
    grant.allow(100n, 60_000);
    one.send("in time", at);
    await until(() => third.got.length > 0);
    assert.deepEqual([other.got, second.got.length, third.got], [[], 2, ["in time"]]);
    assert.equal(await grant.end(), 16n);
    one.send("after", at);
  });

  test("an end that has moved greets from where it is now", async () => {
    await using rig = await opened();
    const { grant, at, near, other } = await bound(rig);
    grant.allow(1_000n, 60_000);
    const moved = await rig.socket();
    moved.send("too soon", at);
    await moved.greet(near, at);
    moved.send("here", at);
    await until(() => other.got.length > 0);
    assert.deepEqual(other.got, ["here"]);
  });

  test("a session has its own port, and there are only so many", async () => {
    await using rig = await opened(1);
    const first = await rig.relay.admit({ sessionId: "01", peer: "me" });
    await assert.rejects(rig.relay.admit({ sessionId: "02", peer: "you" }), (error) => isMystError(error, "EXIT_FULL"));
    await first.end();
    await rig.relay.admit({ sessionId: "03", peer: "you" });
  });
});
