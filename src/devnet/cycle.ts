import { createChain } from "../chain/client.ts";
import { systemClock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import { silentLogger } from "../lib/ports.ts";
import { formatAmount, formatBytes } from "../lib/units.ts";
import type { SessionView } from "../node/types.ts";
import type { Devnet } from "./devnet.ts";
import type { DevnetExit } from "./parts.ts";
import { type CycleReport, cycleReport, megabits } from "./report.ts";

export type CycleOptions = {
  /** how much to download through the exit */
  bytes: bigint;
  onStep?(text: string): void;
  onDownload?(done: { doneBytes: number; totalBytes: number; mbps?: number }): void;
  /** the session once it has ended, and again when it is cleared */
  onSession?(session: SessionView): void;
  signal?: AbortSignal;
};

const clearingMs = 60_000;
const pollMs = 100;

/**
 * One whole cycle of the market, on a devnet whose consumer is connected: a page and a download through the exit, the end of the
 * session, and its clearing. Each fact comes from whoever knows it first-hand.
 * @throws INTERNAL when it does not add up, PEER_TIMEOUT when the exit does not clear in time
 */
export async function runCycle(devnet: Devnet, { bytes, onStep, onDownload, onSession, signal }: CycleOptions): Promise<CycleReport> {
  const { consumer, ground, network, webUrl } = devnet;
  const exit = devnet.exits.find(({ peer }) => peer === consumer?.exit.peer);
  if (!consumer || !exit) throw new MystError("INTERNAL", "the devnet's consumer is not connected to one of its exits");
  const amount = (units: bigint) => formatAmount(units, network.token);
  const chain = createChain({ network, log: silentLogger, clock: systemClock });
  const { tokens: before } = await chain.balances(exit.address);

  const { directAddress, socks } = consumer;
  const through = { ...(socks !== undefined && { socks }), ...(signal && { signal }) };
  const page = await ground.visit(consumer.name, webUrl, through);
  onStep?.(`a page through the exit: seen as ${page.caller}, without it ${directAddress}`);

  const beganMs = performance.now();
  const totalBytes = Number(bytes);
  const download = await ground.visit(consumer.name, `${webUrl}/bytes?n=${bytes}`, {
    ...through,
    onBytes: (doneBytes) => onDownload?.({ doneBytes, totalBytes, mbps: megabits(doneBytes, performance.now() - beganMs) }),
  });
  if (download.bytes !== totalBytes) throw new MystError("INTERNAL", `${download.bytes} of ${totalBytes} bytes came`);
  const mbps = megabits(bytes, download.totalMs);
  // its last word of progress came before its end
  onDownload?.({ doneBytes: totalBytes, totalBytes, mbps });
  onStep?.(`${formatBytes(bytes)} downloaded at ${mbps} Mbit/s`);

  devnet.expectEnd(consumer.name);
  // until now, and not longer: once disconnected it may go outside again
  const { outsidePackets = 0 } = (await ground.router?.traffic()) ?? {};
  const { session } = await consumer.api.call("disconnect");
  onSession?.(session);
  onStep?.(`disconnected: ${session.promises} promises of ${amount(session.promised)} in all`);
  await consumer.process.ended;
  const after = await ground.router?.traffic();
  const router = consumer.trafficBefore &&
    after && {
      // it has had no session before this one
      tunnelBytes: after.tunnelBytes,
      outsidePackets: outsidePackets - consumer.trafficBefore.outsidePackets,
    };
  const cleared = await clearing(exit, session, signal);
  onSession?.({ ...session, state: "CLEARED", cleared });
  const { tokens: now } = await chain.balances(exit.address);
  onStep?.(`cleared: the exit has ${amount(now - before)} more on chain`);

  return cycleReport({
    service: session.service,
    ...(consumer.backend !== undefined && { backend: consumer.backend }),
    ...(router && consumer.service === "wireguard" && { router }),
    country: exit.country,
    exitPeer: exit.peer,
    exitAddress: exit.egressAddress ?? directAddress,
    addressSeen: page.caller,
    directAddress,
    ownAddresses: exit.egressAddress !== undefined,
    payloadBytes: bytes,
    session,
    cleared,
    providerReceived: now - before,
    connectMs: consumer.connectMs,
    firstByteMs: consumer.connectMs + page.firstByteMs,
    downloadMs: download.totalMs,
    sources: consumer.exit.sources,
  });
}

/** What the contract has paid for the session, as the exit's own record of it says, once that is all. */
async function clearing(exit: DevnetExit, session: SessionView, signal: AbortSignal | undefined): Promise<bigint> {
  const until = performance.now() + clearingMs;
  let last: SessionView | undefined;
  while (performance.now() < until) {
    const { sessions } = await exit.api.call("sessions", {}, signal);
    last = sessions.find(({ id, role }) => id === session.id && role === "provider");
    if (last?.cleared !== undefined && (last.state === "CLEARED" || last.cleared >= session.promised)) return last.cleared;
    await systemClock.sleep(pollMs, signal);
  }
  throw new MystError("PEER_TIMEOUT", `${exit.name} has not cleared ${session.promised} within ${clearingMs} ms`, {
    hint: `its session is ${last?.state ?? "unknown"}; its log is in ${exit.dataDir}`,
  });
}
