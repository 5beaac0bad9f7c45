import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { isMystError } from "../../../../src/lib/errors.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { ServiceRequest } from "../../../../src/services/service.ts";
import { createWireguardClient } from "../../../../src/services/wireguard/consumer.ts";
import { answerKey, kemAnswerBytes, kemKeyBytes, offerKey, type Transcript } from "../../../../src/services/wireguard/post-quantum.ts";
import { openWireguardProvider } from "../../../../src/services/wireguard/provider.ts";
import { fakeHelper, newKey } from "../../../support/fake-helper.ts";
import { describe } from "../../../support/harness.ts";

const sessionId = "00112233445566778899aabbccddeeff";
const transcript: Transcript = { sessionId, consumer: newKey(), exit: newKey() };
const malformed = (error: unknown) => isMystError(error, "MALFORMED");

describe("wireguard/post-quantum: the key", (test) => {
  test("is the same at both ends, 32 bytes, and another in each session", () => {
    const offered = offerKey();
    assert.equal(offered.publicKey.length, kemKeyBytes);
    const { answer, presharedKey } = answerKey(offered.publicKey, transcript);
    assert.equal(answer.length, kemAnswerBytes);
    assert.equal(offered.presharedKey(answer, transcript), presharedKey);
    assert.equal(Buffer.from(presharedKey, "base64").length, 32);
    assert.notEqual(answerKey(offered.publicKey, transcript).presharedKey, presharedKey);
    assert.notEqual(answerKey(offerKey().publicKey, transcript).presharedKey, presharedKey);
  });

  test("is bound to the session, to both WireGuard keys and to what was said", () => {
    const offered = offerKey();
    const { answer, presharedKey } = answerKey(offered.publicKey, transcript);
    const others: Transcript[] = [
      { ...transcript, sessionId: "10112233445566778899aabbccddeeff" },
      { ...transcript, consumer: newKey() },
      { ...transcript, exit: newKey() },
      { ...transcript, consumer: transcript.exit, exit: transcript.consumer },
    ];
    for (const other of others) assert.notEqual(offered.presharedKey(answer, other), presharedKey);
    for (const at of [0, 500, kemAnswerBytes - 1]) {
      const changed = Uint8Array.from(answer);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.notEqual(offered.presharedKey(changed, transcript), presharedKey);
    }
  });

  test("what is no key is refused", () => {
    const { publicKey } = offerKey();
    // coefficients of 12 bits over the prime 3,329
    for (const bad of [new Uint8Array(kemKeyBytes).fill(0xff), publicKey.subarray(1), new Uint8Array(0)])
      assert.throws(() => answerKey(bad, transcript), malformed);
  });
});

/** A client and an exit, whose helpers do nothing. */
async function ends(postQuantum?: boolean) {
  const [near, far] = [fakeHelper(), fakeHelper()];
  const client = createWireguardClient({
    helper: near.helper,
    control: async () => [],
    addressOf: () => "203.0.113.9",
    uid: 65_534,
    clock: { nowMs: () => 0 },
    log: silentLogger,
  });
  const service = client.consumer(postQuantum === undefined ? {} : { postQuantum });
  const noDns = async (): Promise<AsyncDisposable> => ({ [Symbol.asyncDispose]: async () => undefined });
  const deps = { helper: far.helper, log: silentLogger, clock: { nowMs: () => 0 }, serveDns: noDns, servePaths: noDns };
  const provider = await openWireguardProvider(deps, { listenPort: 0, allow: [], block: [] });
  const asked = (await service.request?.(sessionId)) as ServiceRequest;
  const { connection } = await provider.admit({ sessionId, peer: "a peer", request: asked });
  const open = (answer: ServiceRequest, id = sessionId) =>
    service.open({ sessionId: id, peer: "an exit", connection: answer, onUsage: () => undefined, signal: new AbortController().signal });
  const atExit = () => [...far.presharedKeys.values()][0];
  return { service, asked, connection, open, near, atExit };
}

describe("wireguard/post-quantum: a session", (test) => {
  test("has one unless it is switched off, the same in both devices", async () => {
    const { connection, open, near, atExit } = await ends();
    const handle = await open(connection);
    assert.equal(handle.endpoint.presharedKey, "ml-kem-768");
    assert.ok(atExit() !== undefined);
    assert.equal(near.configs.up?.presharedKey, atExit());
    await handle.close();
    const off = await ends(false);
    const plain = await off.open(off.connection);
    assert.deepEqual(
      [off.asked.kem, off.connection.kem, off.atExit(), off.near.configs.up?.presharedKey],
      [undefined, undefined, undefined, undefined],
    );
    assert.equal(plain.endpoint.presharedKey, undefined);
    await plain.close();
  });

  test("an exit cannot leave it out, nor bring one that nobody asked for", async () => {
    const { connection, open, near } = await ends();
    const { kem, ...without } = connection;
    await assert.rejects(open(without), malformed);
    await assert.rejects(open({ ...connection, kem: randomBytes(kemAnswerBytes - 1) }), malformed);
    const off = await ends(false);
    await assert.rejects(off.open({ ...off.connection, kem: kem as Uint8Array }), malformed);
    assert.ok(!near.calls.includes("up") && !off.near.calls.includes("up"));
  });

  test("a key that was made for one proposal is not used for another", async () => {
    const { service, connection, open } = await ends();
    await service.request?.("ffffffffffffffffffffffffffffffff");
    await assert.rejects(open(connection), malformed);
  });
});
