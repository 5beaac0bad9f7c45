import type { Connection, PeerId, Stream } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import type { Libp2p } from "libp2p";
import type { Clock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import { deadline, within } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { type RawStream, rawStream } from "./byte-stream.ts";
import { defaultMaxFrame, frameStream } from "./frames.ts";
import type { Network } from "./network.ts";
import { peerError } from "./peer-error.ts";
import { createQuota } from "./quota.ts";

type StreamCalls = Pick<Network, "openFrames" | "openBytes" | "handleFrames" | "handleBytes" | "ask" | "answer">;
type Deps = { host: Pick<Libp2p, "dial" | "getConnections" | "handle">; name: (protocol: string) => string; log: Logger; clock: Clock };

/** Dial, handshake and protocol negotiation together. */
const openMs = 15_000;
/** A question: from the open stream to the whole answer, and on the other side from the first byte to the answer sent. */
const askMs = 10_000;
/** Byte streams carry one connection each of whoever uses a service, so there are many. */
const maxByteStreams = 512;
/** Questions one peer may ask of one protocol. */
const askQuota = { burst: 40, perSecond: 5 };

const answered = 0;
const refused = 1;

const maxPeerIds = 512;

/** libp2p checks the key within a peer id in JavaScript, which costs more than opening a stream: so each is parsed once. */
function createPeerIds(): (peer: string) => PeerId {
  const parsed = new Map<string, PeerId>();
  return (peer) => {
    const known = parsed.get(peer);
    if (known) return known;
    if (parsed.size >= maxPeerIds) parsed.clear();
    try {
      const peerId = peerIdFromString(peer);
      parsed.set(peer, peerId);
      return peerId;
    } catch (cause) {
      throw new MystError("MALFORMED", `'${peer.slice(0, 60)}' is no peer id`, { cause });
    }
  };
}

/** Unlike `within`, it does not keep the process: the answerer may be one that never ends. */
const late = (signal: AbortSignal, what: string) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new MystError("PEER_TIMEOUT", `no answer to ${what} in time`)), { once: true });
  });

/** Streams, frames and questions over a started libp2p host. */
export function createStreams({ host, name, log, clock }: Deps): StreamCalls {
  const peerIdOf = createPeerIds();
  const open = async (peer: string, protocol: string, signal: AbortSignal): Promise<RawStream> => {
    const limit = deadline(openMs, signal);
    let stream: Stream;
    try {
      const peerId = peerIdOf(peer);
      // left to itself libp2p dials anew where a relay limits the connection that is there, for each stream
      const open = host.getConnections(peerId).filter(({ status }) => status === "open");
      const connection = open.find(({ direct }) => direct) ?? open[0] ?? (await host.dial(peerId, { signal: limit }));
      const options = { signal: limit, maxOutboundStreams: maxByteStreams, runOnLimitedConnection: true };
      stream = await connection.newStream(name(protocol), options);
    } catch (cause) {
      throw peerError(peer, cause, limit);
    }
    return rawStream(stream, peer);
  };

  const handle = (protocol: string, maxInboundStreams: number, handler: (stream: RawStream, address: string) => Promise<void>) =>
    host.handle(
      name(protocol),
      (stream: Stream, connection: Connection) => {
        const raw = rawStream(stream, connection.remotePeer.toString());
        // not awaited: libp2p would hold the stream's opening until the handler is done
        handler(raw, connection.remoteAddr.toString())
          .then(() => raw.close())
          .catch((error: Error) => {
            log.debug("stream ended with an error", { protocol, peer: raw.peer, error: error.message });
            raw.abort(error);
          });
      },
      { maxInboundStreams, maxOutboundStreams: maxByteStreams, runOnLimitedConnection: true },
    );

  return {
    openBytes: open,
    openFrames: async (peer, protocol, signal, options) =>
      frameStream(await open(peer, protocol, signal), options?.maxFrame ?? defaultMaxFrame),
    handleBytes: (protocol, handler) => handle(protocol, maxByteStreams, handler),
    handleFrames: (protocol, { maxFrame }, handler) => handle(protocol, 32, (raw) => handler(frameStream(raw, maxFrame))),

    ask: async (peer, protocol, question, signal, options) => {
      const limit = deadline(askMs, signal);
      const frames = frameStream(await open(peer, protocol, limit), 1 + (options?.maxAnswer ?? defaultMaxFrame));
      try {
        await within(frames.send(question), askMs, "PEER_TIMEOUT", `asking peer ${peer}`);
        const answer = await frames.receive(limit);
        if (!answer || answer.length === 0) throw new MystError("PEER_REFUSED", `peer ${peer} gave no answer`, { meta: { peer } });
        if (answer[0] !== answered) throw new MystError("PEER_REFUSED", `peer ${peer} refused to answer`, { meta: { peer } });
        // closing waits for the other side's end; nobody needs to wait for that
        void frames.close();
        return answer.subarray(1);
      } catch (error) {
        frames.abort(error as Error);
        throw error;
      }
    },

    answer: (protocol, { maxQuestion, maxAnswer, quota: rate = askQuota }, answerer) => {
      const quota = createQuota(clock, rate);
      return handle(protocol, 32, async (raw, address) => {
        const frames = frameStream(raw, maxQuestion);
        const question = await frames.receive(deadline(askMs));
        if (!question) return;
        let answer: Uint8Array | undefined;
        try {
          if (quota.take(raw.peer)) answer = await Promise.race([answerer(question, raw.peer, address), late(deadline(askMs), protocol)]);
        } catch (error) {
          log.debug("question refused", { protocol, peer: raw.peer, error: (error as Error).message });
        }
        if (answer && answer.byteLength > maxAnswer) {
          log.warn("answer over its own limit", { protocol, bytes: answer.byteLength });
          answer = undefined;
        }
        const message = answer ? new Uint8Array(1 + answer.byteLength) : Uint8Array.of(refused);
        if (answer) message.set(answer, 1);
        await frames.send(message);
      });
    },
  };
}
