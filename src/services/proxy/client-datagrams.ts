import { createSocket } from "node:dgram";
import { once } from "node:events";
import ipaddr from "ipaddr.js";
import { MystError } from "../../lib/errors.ts";
import type { FrameStream, Network } from "../../network/network.ts";
import { readAddress } from "./address.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { ConsumerControl } from "./consumer-control.ts";
import { createDatagramSender, type DatagramSender } from "./datagram-sender.ts";
import { whenClosed } from "./flow.ts";
import { associationCodec, countOf, datagramProtocol, maxDatagramFrame, maxPayload, replyCodec, sessionBytes } from "./protocol.ts";
import type { WantedDatagrams } from "./wanted.ts";

export type ClientDatagramDeps = {
  /** A stream that the exit has taken for datagrams, under a number of its own. */
  open(id: number): Promise<FrameStream>;
  nextId(): number;
  connections: Map<number, ClientConnection>;
  control: Pick<ConsumerControl, "send">;
  /** counts as they go: see `countOf` */
  onUp(id: number, count: number): void;
  onDown(count: number): void;
};

type Link = { id: number; stream: FrameStream; sender: DatagramSender; stopping?: NodeJS.Timeout };

/** datagrams that wait for the exit's answer */
const maxHeld = 16;
/** after an exit has refused */
const retryMs = 1_000;
/** RSV RSV FRAG, before the address */
const prefix = Uint8Array.of(0, 0, 0);

/**
 * Carries a program's datagrams (RFC 1928, 7) until it ends its TCP connection. They are taken from the one address and port that sent the
 * first, or that it has named; fragments are not. There is a stream to the exit while there are datagrams: the exit ends one that is idle.
 */
export async function carryClientDatagrams(
  deps: ClientDatagramDeps,
  { socket, port: named, answer }: WantedDatagrams,
  { lingerMs }: { lingerMs: number },
): Promise<void> {
  const host = plain(socket.localAddress);
  const client = { host: plain(socket.remoteAddress), port: named };
  const udp = createSocket(host.includes(":") ? "udp6" : "udp4");
  let link: Link | undefined;
  let opening = false;
  let held: Uint8Array[] = [];
  let notBeforeMs = 0;
  const running = new Set<Promise<void>>();

  const pass = ({ id, sender }: Link, frame: Uint8Array) => {
    const to = readAddress(frame);
    if (typeof to === "string" || !sender.hasRoom(frame.length)) return;
    deps.onUp(id, countOf(frame.length - to.length));
    sender.send(frame);
  };
  const openLink = async () => {
    const id = deps.nextId();
    const stream = await deps.open(id);
    const opened: Link = { id, stream, sender: createDatagramSender(stream) };
    const reading = readLink(opened).finally(() => running.delete(reading));
    running.add(reading);
    if (socket.destroyed) stopLink(opened);
    else link = opened;
  };
  const stopLink = (stopped: Link) => {
    deps.control.send({ t: "stop", id: stopped.id });
    stopped.stopping = setTimeout(() => stopped.stream.abort(new Error("the exit did not stop")), lingerMs);
  };
  const readLink = async (opened: Link) => {
    const { id, stream, sender } = opened;
    deps.connections.set(id, { reset: () => undefined, stop: () => socket.destroy(), abort: (error) => stream.abort(error) });
    try {
      for (let frame = await stream.receive(); frame; frame = await stream.receive()) onFrame(frame);
    } catch (error) {
      stream.abort(error as Error);
    }
    if (link === opened) link = undefined;
    deps.connections.delete(id);
    clearTimeout(opened.stopping);
    await sender.flushed();
    await stream.close();
  };
  const onFrame = (frame: Uint8Array) => {
    const from = readAddress(frame);
    if (typeof from === "string") throw new Error("a datagram without an address");
    deps.onDown(countOf(frame.length - from.length));
    if (client.port > 0 && !socket.destroyed) udp.send([prefix, frame], client.port, client.host, () => undefined);
  };
  const onDatagram = (datagram: Uint8Array, from: { address: string; port: number }) => {
    if (plain(from.address) !== client.host || (client.port > 0 && from.port !== client.port)) return;
    const frame = datagram.subarray(prefix.length);
    const to = readAddress(frame);
    if (datagram[2] !== 0 || typeof to === "string" || frame.length - to.length > maxPayload) return;
    client.port = from.port;
    if (link) return pass(link, frame);
    if (held.length < maxHeld) held.push(frame);
    if (opening || performance.now() < notBeforeMs) return;
    opening = true;
    const refused = () => {
      notBeforeMs = performance.now() + retryMs;
    };
    const work = openLink()
      .catch(refused)
      .finally(() => {
        opening = false;
        running.delete(work);
        const waited = held;
        held = [];
        for (const frame of waited) if (link) pass(link, frame);
      });
    running.add(work);
  };

  try {
    udp.bind({ port: 0, address: host });
    await once(udp, "listening");
    udp.on("error", () => socket.destroy());
    udp.on("message", onDatagram);
    answer({ host, port: udp.address().port });
    // nothing is said here but that it is over
    socket.once("end", () => socket.destroy()).resume();
    await whenClosed(socket);
  } catch {
    answer(undefined);
  }
  udp.close();
  if (link) stopLink(link);
  while (running.size > 0) await Promise.all(running);
}

/** A stream for datagrams that the exit has taken. @throws PEER_REFUSED, MALFORMED, and what opening a stream throws */
export async function openAssociation(
  { network, peer, sessionId }: { network: Pick<Network, "openFrames">; peer: string; sessionId: string },
  id: number,
  signal: AbortSignal,
): Promise<FrameStream> {
  const stream = await network.openFrames(peer, datagramProtocol, signal, { maxFrame: maxDatagramFrame });
  try {
    await stream.send(associationCodec.encode({ session: sessionBytes(sessionId), id }));
    const reply = await stream.receive(signal);
    const { code } = replyCodec.decode(reply ?? new Uint8Array());
    if (code !== "ok") throw new MystError("PEER_REFUSED", `the exit takes no datagrams: ${code}`);
    return stream;
  } catch (error) {
    stream.abort(error as Error);
    throw error;
  }
}

/** An IPv4 address as such, also where a socket of both families has it. */
const plain = (address = "127.0.0.1"): string => ipaddr.process(address.replace(/%.*/, "")).toString();
