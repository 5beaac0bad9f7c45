import assert from "node:assert/strict";
import { isMystError } from "../../../../src/lib/errors.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { Network } from "../../../../src/network/network.ts";
import type { Place } from "../../../../src/services/nat.ts";
import { answerMeetings, lookedCodec, punchingCodec, questionCodec } from "../../../../src/services/wireguard/meeting.ts";
import type { ExitTunnel } from "../../../../src/services/wireguard/types.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";

const session = new Uint8Array(16).fill(7);
const there = { address: "203.0.113.9", port: 4_000 };
const out = { address: "8.8.8.8", port: 4_000 };
const code = (expected: string) => (error: unknown) => isMystError(error, expected as "MALFORMED");

async function exit(seen: Place[][]) {
  const calls: string[] = [];
  let handshakeMs = 0;
  let looks = 0;
  const answerers: Parameters<Network["answer"]>[2][] = [];
  const tunnel: Pick<ExitTunnel, "listenPort" | "greet" | "reach" | "counters"> = {
    listenPort: 51_820,
    greet: async ({ endpoint }) => void calls.push(`greet ${endpoint.address}:${endpoint.port}`),
    reach: async (_, place) => void calls.push(place ? `reach ${place.address}:${place.port}` : "keep"),
    counters: () => ({ rxBytes: 0n, txBytes: 0n, handshakeMs }),
  };
  await answerMeetings({
    network: { answer: async (_, __, answer) => void answerers.push(answer) },
    tunnel,
    keyOf: (id, peer) => (id === Buffer.from(session).toString("hex") && peer === "client" ? "key" : undefined),
    see: async () => {
      looks += 1;
      return seen.shift() ?? [];
    },
    log: silentLogger,
  });
  const ask = async (question: Parameters<typeof questionCodec.encode>[0], peer = "client") =>
    (await answerers[0]?.(Uint8Array.from(questionCodec.encode(question)), peer)) ?? new Uint8Array();
  return { calls, ask, looks: () => looks, shake: () => (handshakeMs += 1) };
}

describe("wireguard/meeting: an exit behind NAT", (test) => {
  test("says how it is seen, and looks once for all who ask in a moment", async () => {
    const { ask, looks } = await exit([[out, { ...out, port: 4_001 }]]);
    const answers = await Promise.all([ask({ t: "look", session }), ask({ t: "look", session })]);
    for (const answer of answers) assert.deepEqual(lookedCodec.decode(answer), { nat: "symmetric", at: out });
    assert.equal(looks(), 1);
  });

  test("sends to where its client is, again until hands are shaken, and keeps the way open then", async () => {
    const { ask, calls, shake } = await exit([]);
    const { inMs } = punchingCodec.decode(await ask({ t: "punch", session, at: out }));
    assert.ok(inMs > 0 && calls.length === 0, "not before it has said so");
    await until(() => calls.length >= 2);
    shake();
    await until(() => calls.includes("keep"));
    assert.deepEqual([...new Set(calls)], ["reach 8.8.8.8:4000", "keep"]);
  });

  test("greets the relay that its client names", async () => {
    const { ask, calls, shake } = await exit([]);
    assert.deepEqual(await ask({ t: "relay", session, at: out, key: new Uint8Array(32) }), new Uint8Array());
    await until(() => calls.length >= 2);
    shake();
    await until(() => calls.includes("keep"));
    assert.deepEqual([...new Set(calls)], ["greet 8.8.8.8:4000", "keep"]);
  });

  test("sends nothing for who has no session, nor into networks behind firewalls, nor without end", async () => {
    const { ask, calls } = await exit([]);
    await assert.rejects(ask({ t: "punch", session, at: out }, "another"), code("SESSION_UNKNOWN"));
    await assert.rejects(ask({ t: "look", session: new Uint8Array(16) }), code("SESSION_UNKNOWN"));
    for (const address of ["10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0"])
      await assert.rejects(ask({ t: "punch", session, at: { ...there, address } }), code("MALFORMED"), address);
    for (let more = 0; more < 6; more += 1) await ask({ t: "look", session });
    await assert.rejects(ask({ t: "look", session }), code("PEER_REFUSED"));
    assert.deepEqual(calls, []);
  });
});
