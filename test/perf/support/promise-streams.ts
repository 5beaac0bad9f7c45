import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { silentLogger } from "../../../src/lib/ports.ts";
import { createSigners } from "../../../src/payments/signers.ts";
import { startPeer } from "../../net/support.ts";
import { composeExit } from "../../support/exit-rig.ts";
import { meteredService } from "../../support/metered-service.ts";
import { ackBytes, clearing, echoProtocol, type FromPayers, sessionsAtOnce, streamPrices, type ToPayers } from "./promise-payers.ts";

const program = fileURLToPath(new URL("./promise-payers.ts", import.meta.url));
const rich = 1n << 90n;

/** Seconds of CPU that an exit takes for `promises` of real sessions over libp2p, and for an echo of the same bytes on as many streams. */
export type StreamCosts = { promises: number; echo: number; count: number };

/**
 * `runs` times in turns: `rounds` promises of each of 100 sessions, and the echo of as many. A session sends one every `everyMs`, and none
 * before the last is acknowledged; 0: as fast as they come back, so that many share a packet.
 */
export async function measureStreams(
  { runs, rounds, everyMs }: { runs: number; rounds: number; everyMs: number },
  signal: AbortSignal,
): Promise<StreamCosts> {
  await using peer = await startPeer({ gossip: false, dht: false });
  const { identity, network, store } = peer;
  await using signers = createSigners(clearing, silentLogger);
  const account = { balance: rich, line: rich, bond: rich, closeAtMs: undefined, owner: identity.address, readAtMs: Date.now() };
  const { ledger, server } = await composeExit(
    {
      ...{ network, store, identity, domain: clearing, readAccount: async () => account, maxSessions: sessionsAtOnce },
      ...{ limits: { maxUnsettled: rich, minBond: 0n }, services: [{ service: meteredService().provider, ...streamPrices }] },
    },
    { findSigners: signers.find },
  );
  await network.handleFrames(echoProtocol, { maxFrame: 4_096 }, async (stream) => {
    for (let frame = await stream.receive(); frame; frame = await stream.receive()) await stream.send(frame.subarray(0, ackBytes));
  });

  const payers = fork(program, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const over = once(payers, "exit");
  const heard = async () => {
    const said = await Promise.race([once(payers, "message"), over.then(() => Promise.reject(new Error("the payers have ended")))]);
    return said[0] as FromPayers;
  };
  const tell = (message: ToPayers) => payers.send(message);
  const cost = async (of: "promises" | "echo"): Promise<number> => {
    tell({ rounds, of, everyMs });
    await heard();
    const before = process.cpuUsage();
    await heard();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  try {
    const hello = await heard();
    if ("signers" in hello) for (const signer of hello.signers) await ledger.rememberAccount(signer as `0x${string}`, account);
    tell({ exit: identity.peerId, address: identity.address, addresses: network.addresses() });
    await heard();
    const costs = { promises: 0, echo: 0, count: 0 };
    await cost("echo");
    await cost("promises");
    for (let run = 0; run < runs && !signal.aborted; run += 1) {
      costs.echo += await cost("echo");
      costs.promises += await cost("promises");
      costs.count += rounds * sessionsAtOnce;
    }
    return costs;
  } finally {
    if (payers.connected) payers.disconnect();
    await over;
    await server.stop();
  }
}
