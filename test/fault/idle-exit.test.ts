import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { silentLogger as log } from "../../src/lib/ports.ts";
import { clearingDomain, termsDigest } from "../../src/payments/eip712.ts";
import { openPayerLedger } from "../../src/payments/payer-ledger.ts";
import { QUANTUM_MS, quantumMoney } from "../../src/payments/quantum.ts";
import { due, type Usage } from "../../src/payments/terms.ts";
import { createProxyConsumer } from "../../src/services/proxy/consumer.ts";
import { socksConnect } from "../../src/services/proxy/socks-client.ts";
import type { ServiceConsumer, ServiceProvider } from "../../src/services/service.ts";
import { openSession } from "../../src/session/consumer-driver.ts";
import { termsData } from "../../src/session/server.ts";
import { startPeer } from "../net/support.ts";
import { describe } from "../support/harness.ts";
import { pause, readAll, startTarget } from "../support/proxy-rig.ts";
import { until } from "../support/until.ts";
import { openExit, terms as theirs } from "./support/silent-payer.ts";

const domain = clearingDomain({ chainId: 31337, contract: `0x${"11".repeat(20)}` });
const rich = 1n << 80n;
/** five seconds cost about as much as a MiB: both halves of a quantum show */
const terms = { ...theirs, perHour: 200n * theirs.perHour };
const quantum = quantumMoney(terms, 0n);
const none = { nowMs: 0, beyondMs: 0 };

/** The proxy of an exit that counts every wait as time served, and forwards as long as it is told to. */
function idling(provider: ServiceProvider) {
  let forwards = true;
  const stops: (() => void)[] = [];
  const admit: ServiceProvider["admit"] = async (admission) => {
    const grant = await provider.admit(admission);
    stops.push(grant.suspend);
    return { ...grant, allow: (total) => (forwards ? grant.allow(total) : grant.suspend()), unanswered: () => none };
  };
  const stop = () => {
    forwards = false;
    for (const suspend of stops) suspend();
  };
  return { provider: { ...provider, admit }, stop };
}

/** Whether the consumer leaves out the time in which it waits for answers. */
const minding = (consumer: ServiceConsumer, minds: boolean): ServiceConsumer => ({
  ...consumer,
  open: async (opening) => {
    const handle = await consumer.open(opening);
    return minds ? handle : { ...handle, unanswered: () => none };
  },
});

/** Downloads a little, then the exit goes idle while a program asks on for `forMs`; what it has been paid beyond what it served. */
async function paidFor(forMs: number, minds: boolean) {
  await using undo = new AsyncDisposableStack();
  let stopForwarding: () => void = () => undefined;
  const exit = await openExit((real) => {
    const { provider, stop } = idling(real);
    stopForwarding = stop;
    return provider;
  });
  undo.use(exit);
  const { network, identity, store } = undo.use(await startPeer({ gossip: false, dht: false, listen: [] }));
  const to = exit.peer.network.peerId;
  await network.connect(to, exit.peer.network.addresses(), AbortSignal.timeout(10_000));
  const ledger = await openPayerLedger({ store, identity, clock }, domain);
  await ledger.begin();
  await ledger.reconcile({
    ...{ balance: rich, line: rich, bond: rich, closeAtMs: undefined, owner: identity.address, readAtMs: clock.nowMs() },
  });
  const session = await openSession(
    {
      ...{ network, ledger, line: () => rich, signer: identity.address, clock, log },
      service: minding(createProxyConsumer({ network, log, clock }, { listen: "127.0.0.1:0" }), minds),
      signTerms: (id, channel, agreed) => identity.sign(termsDigest(domain, termsData(id, identity.address, channel, agreed))),
    },
    {
      exit: { peer: to, address: exit.peer.identity.address },
      terms: { ...terms, quantum },
      ...{ budget: rich, signal: new AbortController().signal },
    },
  );
  const openedMs = clock.nowMs();
  undo.defer(() => session.disconnect());
  const target = undo.use(await startTarget((socket) => socket.end("an answer")));
  const ask = async (): Promise<Socket> => {
    const client = await socksConnect({ host: "127.0.0.1", port: target.port, socks: session.endpoint.socks ?? "" });
    client.on("error", () => undefined).write("a question");
    return client;
  };
  const client = await ask();
  assert.equal(String(await readAll(client)), "an answer");
  client.destroy();
  await until(() => session.state().used.bytes >= 9n);
  await pause(1_000);

  const patient = await ask();
  stopForwarding();
  const served = { bytes: session.state().used.bytes, ms: clock.nowMs() - openedMs };
  let asked = 0;
  let most = 0n;
  const held = ({ bytes, ms }: Usage) => session.state().cumulative - due(terms, { bytes, ms });
  for (const end = clock.nowMs() + forMs; clock.nowMs() < end; asked += 1) {
    const other = await ask();
    for (let i = 0; i < 4; i += 1) {
      await pause(250);
      const now = held(served);
      if (now > most) most = now;
    }
    other.destroy();
  }
  patient.destroy();
  return { most, asked, state: session.state(), boughtMs: session.state().bought.ms - served.ms };
}

describe("fault/idle-exit: an exit that acknowledges promises, says 'connected' and forwards nothing", (test) => {
  test(
    "holds at most one quantum that it has not served, however long it goes on; a consumer that does not mind would pay for it all",
    async () => {
      const forMs = 18_000;
      const [minded, blind] = await Promise.all([paidFor(forMs, true), paidFor(forMs, false)]);
      for (const { asked, state } of [minded, blind]) {
        assert.ok(asked > 5, `connected only ${asked} times`);
        assert.equal(state.phase, "ACTIVE", state.reason?.message);
      }
      assert.ok(blind.most > 2n * quantum && blind.boughtMs > 2 * QUANTUM_MS, `the fault does not show: ${blind.boughtMs} ms were bought`);
      // the session is a moment older than the test knows
      assert.ok(minded.boughtMs <= QUANTUM_MS + 250, `${minded.boughtMs} ms were bought`);
      const slack = due(terms, { bytes: 0n, ms: 250 });
      assert.ok(minded.most > 0n && minded.most <= quantum + slack, `${minded.most} held, a quantum is ${quantum}`);
    },
    { timeoutMs: 90_000 },
  );
});
