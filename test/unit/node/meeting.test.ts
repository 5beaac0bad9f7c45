import assert from "node:assert/strict";
import { isMystError, MystError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { createMeeting } from "../../../src/node/meeting.ts";
import type { Nat, Place } from "../../../src/services/nat.ts";
import { greetingKeyCodec, placeCodec, seenProtocol, seenQuestionCodec } from "../../../src/services/seeing.ts";
import { lookedCodec, punchingCodec, questionCodec } from "../../../src/services/wireguard/meeting.ts";
import { describe } from "../../support/harness.ts";

const mine: Place = { address: "45.8.0.2", port: 1_000 };
const theirs: Place = { address: "45.9.0.2", port: 2_000 };
const relayOf = (peer: string, address: string) => ({
  offer: { peer, addresses: [`/ip4/${address}/tcp/4480/p2p/${peer}`], services: [{ kind: "relay", perGiB: 10n, perHour: 10n }] },
});

/** Two relays that see us, one exit, and a tunnel of which it is written down where it goes. Relays are too dear to be used. */
function rig({ nat, at = theirs, symmetric = false, up }: { nat: Nat; at?: Place; symmetric?: boolean; up?: MystError }) {
  const asked: string[] = [];
  const went: string[] = [];
  const ask = async (peer: string, protocol: string, question: Uint8Array) => {
    if (protocol === seenProtocol) {
      const { key } = seenQuestionCodec.decode(question);
      if (!key) return Uint8Array.from(greetingKeyCodec.encode({ key: new Uint8Array(32).fill(peer.length), port: 51_821 }));
      return Uint8Array.from(placeCodec.encode({ ...mine, port: mine.port + (symmetric ? peer.length : 0) }));
    }
    const { t } = questionCodec.decode(question);
    asked.push(t);
    if (t === "look") return Uint8Array.from(lookedCodec.encode({ nat, at }));
    return Uint8Array.from(punchingCodec.encode({ inMs: 0 }));
  };
  const offers = () => [relayOf("one", "45.1.0.2"), relayOf("other", "45.2.0.2")] as never;
  const meeting = createMeeting(
    {
      ...{ network: { ask }, dialler: { connect: async () => undefined }, discovery: { offers, search: async () => [] } },
      ...{ consuming: {} as never, opening: () => assert.fail("no session is opened"), log: silentLogger },
    },
    { service: "wireguard", maxPerGiB: 5n, maxPerHour: 5n, budget: 100n },
  );
  const met = meeting.meet(
    { peer: "exit", sessionId: "00".repeat(16), signal: AbortSignal.timeout(10_000) },
    {
      counters: () => ({ rxBytes: 0n, txBytes: 0n }),
      greet: async () => ({ listenPort: 5_000 }),
      up: async ({ address, port }, punch) => {
        went.push(`${address}:${port} ${punch}`);
        if (up) throw up;
      },
    },
  );
  return { met, asked, went };
}
const noRelay = (error: unknown) => isMystError(error, "TUNNEL_FAILED") && /no relay reaches it/.test((error as MystError).message);

describe("node/meeting: an exit behind NAT", (test) => {
  for (const nat of ["none", "cone", "symmetric", "unknown"] as const)
    test(`seen at one place, one that is ${nat} is gone to where it is seen`, async () => {
      const { met, asked, went } = rig({ nat });
      assert.deepEqual([(await met).how, (await met).at], ["punched", theirs]);
      assert.deepEqual([asked, went], [["look", "punch"], ["45.9.0.2:2000 true"]]);
    });

  test("where both are seen elsewhere by each peer nothing is tried but relays, none dearer than was asked for", async () => {
    const { met, asked, went } = rig({ nat: "symmetric", symmetric: true });
    await assert.rejects(met, noRelay);
    assert.deepEqual([asked, went], [["look"], []]);
  });

  test("where no packet comes through, relays are tried", async () => {
    const { met, asked, went } = rig({ nat: "cone", up: new MystError("PEER_TIMEOUT", "no handshake") });
    await assert.rejects(met, noRelay);
    assert.deepEqual([asked, went.length], [["look", "punch"], 1]);
  });

  test("an exit that says that it is in our own network is not sent to there", async () => {
    for (const address of ["192.168.1.1", "127.0.0.1", "169.254.169.254"]) {
      const { met, went } = rig({ nat: "none", at: { address, port: 53 } });
      await assert.rejects(met, noRelay);
      assert.deepEqual(went, []);
    }
  });
});
