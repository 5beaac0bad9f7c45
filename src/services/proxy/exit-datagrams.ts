import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv4 } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { MystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { FrameStream } from "../../network/network.ts";
import { isAddress, judge } from "../policy.ts";
import { readAddress, writeAddress } from "./address.ts";
import { createFlows } from "./datagram-flows.ts";
import { createDatagramSender } from "./datagram-sender.ts";
import { type DialDeps, permitted } from "./dial.ts";
import type { ExitConnection } from "./exit-connection.ts";
import type { ExitSession } from "./exit-session.ts";
import { createNames } from "./names.ts";
import { countOf } from "./protocol.ts";

export type ExitDatagramDeps = DialDeps & {
  stream: FrameStream;
  session: Pick<ExitSession, "gate" | "unanswered" | "addUp" | "allowNewFlow">;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
};

export type ExitDatagramOptions = { id: number; egressAddress: string | undefined; lookupMs: number; idleMs: number };

type Kind = "udp4" | "udp6";
/** Whatever is dialled is an address by then: the thread pool is not asked for it. */
const asItIs = (address: string, _: unknown, callback: (error: null, address: string, family: number) => void) =>
  callback(null, address, isIPv4(address) ? 4 : 6);

/**
 * Carries datagrams between a consumer's stream and whom they are for, from ports of this association's own. Each destination is
 * judged, and so is each answer's source, which must be one that was sent to. Nothing waits: a datagram without credit, or for which a
 * queue is full, is dropped. `done` resolves when nothing is left open.
 */
export function carryDatagrams(deps: ExitDatagramDeps, options: ExitDatagramOptions): ExitConnection & { done: Promise<void> } {
  const { stream, session, clock, log } = deps;
  const { id, egressAddress, lookupMs, idleMs } = options;
  const { gate, unanswered } = session;
  const over = new AbortController();
  const sockets = new Map<Kind, Socket>();
  const sender = createDatagramSender(stream);
  const flows = createFlows(clock, session.allowNewFlow);
  const names = createNames(clock, (name) => deps.resolve(name, deadline(lookupMs, over.signal)));

  const end = () => {
    if (over.signal.aborted) return;
    over.abort();
    clearTimeout(idle);
    for (const socket of sockets.values()) socket.close();
    void sender.flushed().then(() => stream.close());
  };
  const idle = setTimeout(end, idleMs);

  const answer = (message: Uint8Array, { address, port }: RemoteInfo) => {
    const verdict = judge(deps.policy, deps.own(), address.replace(/%.*/, ""), port);
    if (over.signal.aborted || !verdict.ok || !flows.has(`${verdict.address} ${port}`)) return;
    const frame = Uint8Array.from(Buffer.concat([writeAddress(verdict.address, port), message]));
    if (!sender.hasRoom(frame.length) || !gate.takeWhole(countOf(message.length))) return;
    unanswered.answered();
    idle.refresh();
    sender.send(frame);
  };
  const socketFor = (kind: Kind): Socket => {
    const known = sockets.get(kind);
    if (known) return known;
    const socket = createSocket({ type: kind, lookup: asItIs, ...(kind === "udp6" && { ipv6Only: true }) });
    sockets.set(kind, socket);
    socket.on("message", answer);
    socket.on("error", (error) => {
      log.debug("a socket for datagrams failed", { reason: error.message });
      if (sockets.get(kind) === socket) sockets.delete(kind);
      socket.close();
    });
    socket.bind({ port: 0, ...(egressAddress !== undefined && { address: egressAddress }) });
    return socket;
  };

  const send = (addresses: string[], port: number, payload: Uint8Array) => {
    if (over.signal.aborted) return;
    const may = permitted(deps, egressAddress, addresses, port);
    if (!may.ok) return log.debug("datagram refused", { code: may.code, reason: may.detail });
    // nobody sees whether a datagram gets there, so there is no trying of one family after the other
    const address = may.addresses.find(isIPv4) ?? may.addresses[0] ?? "";
    if (!flows.open(`${address} ${port}`) || !gate.takeWhole(countOf(payload.length))) return;
    session.addUp(countOf(payload.length));
    idle.refresh();
    socketFor(isIPv4(address) ? "udp4" : "udp6").send(payload, port, address, () => undefined);
  };
  const onFrame = (frame: Uint8Array) => {
    const to = readAddress(frame);
    if (typeof to === "string") throw new MystError("MALFORMED", "a datagram without an address");
    // nobody sees whether an answer is waited for: see `Unanswered.settled`
    unanswered.asked(id);
    unanswered.settled(id);
    const { host, port, length } = to;
    const payload = frame.subarray(length);
    if (over.signal.aborted || port === 0) return;
    if (isAddress(host)) send([host], port, payload);
    else names.withAddresses(host, (addresses) => send(addresses, port, payload));
  };
  const read = async () => {
    for (let frame = await stream.receive(); frame; frame = await stream.receive()) onFrame(frame);
  };
  const lost = (error: unknown) => {
    // what was on its way has been asked in vain
    unanswered.asked(id);
    unanswered.settled(id);
    stream.abort(error as Error);
  };
  const nothing = () => undefined;
  return {
    done: read().catch(lost).finally(end),
    stop: end,
    abort: (error) => {
      end();
      stream.abort(error);
    },
    // what a program does not take it loses: its consumer is never full
    hold: nothing,
    go: nothing,
  };
}
