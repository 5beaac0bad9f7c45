import { networkInterfaces } from "node:os";
import type { Clock } from "../../lib/clock.ts";
import { MystError } from "../../lib/errors.ts";
import { within } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { ByteStream, FrameStream, Network } from "../../network/network.ts";
import { isAddress, parsePolicy, summary } from "../policy.ts";
import type { Admission, Grant, ServiceProvider } from "../service.ts";
import { serveAssociation } from "./exit-associations.ts";
import { createExitSession, type ExitSession } from "./exit-session.ts";
import { type ExitStreamDeps, serveStream } from "./exit-stream.ts";
import {
  controlProtocol,
  datagramProtocol,
  maxControlFrame,
  maxDatagramFrame,
  sessionText,
  streamProtocol,
  toExitCodec,
} from "./protocol.ts";
import { createResolve, type Resolve } from "./resolve.ts";

export type ProxyProviderDeps = {
  network: Pick<Network, "handleBytes" | "handleFrames" | "addresses">;
  log: Logger;
  clock: Pick<Clock, "nowMs">;
  /** names to addresses; default: the machine's name servers */
  resolve?: Resolve;
};

export type ProxyProviderOptions = {
  /** destinations carried to although the policy would refuse them: "127.0.0.1:8080", "10.0.0.0/8", "[::1]:80" */
  allow: string[];
  /** destinations refused on top; goes before `allow` */
  block: string[];
  /** ports refused at every address; default those of mail */
  closedPorts?: number[];
  /** local address that connections to targets are made from */
  egressAddress?: string;
  /** for name resolution and connecting together; default 10 s */
  dialTimeoutMs?: number;
  /** connections at a time and session; default 256 */
  maxStreams?: number;
  /** streams for datagrams at a time and session; default 32 */
  maxAssociations?: number;
  /** a consumer must have asked for its target within this; default 10 s */
  headerTimeoutMs?: number;
  /** a connection without traffic is given up after this; default 10 min */
  idleMs?: number;
  /** a stream without datagrams is ended after this; default 5 min */
  datagramIdleMs?: number;
};

const defaults = {
  dialTimeoutMs: 10_000,
  maxStreams: 256,
  maxAssociations: 32,
  headerTimeoutMs: 10_000,
  idleMs: 600_000,
  datagramIdleMs: 300_000,
};
/** streams of all peers together that are being served or wait for their header */
const maxStreamsInAll = 8192;
/** how long the exit's own addresses are remembered */
const ownAddressesMs = 5_000;

/**
 * The exit of the `proxy` service: carries connections of admitted sessions to the addresses that its policy lets through.
 * One a network, since it answers the protocol there. @throws BAD_VALUE for a rule or an egress address that is none
 */
export function createProxyProvider(deps: ProxyProviderDeps, options: ProxyProviderOptions): ServiceProvider {
  const { network, log } = deps;
  const { egressAddress } = options;
  if (egressAddress !== undefined && !isAddress(egressAddress))
    throw new MystError("BAD_VALUE", `'${egressAddress.slice(0, 60)}' is no address to connect from`, {
      hint: "give an IP address of this machine",
    });
  const policy = parsePolicy(options);
  const settings = { ...defaults, ...options, egressAddress };
  const sessions = new Map<string, ExitSession>();
  let listening: Promise<unknown> | undefined;
  let streams = 0;

  /** A stream that was dropped before it named its session: for the consumer, it has asked in vain. */
  const askedInVain = (peer: string) => {
    for (const { admission, unanswered } of sessions.values()) {
      if (admission.peer !== peer) continue;
      unanswered.asked(-1);
      unanswered.settled(-1);
    }
  };
  const streamDeps: ExitStreamDeps & Pick<ProxyProviderDeps, "clock"> = {
    askedInVain,
    clock: deps.clock,
    policy,
    log,
    resolve: deps.resolve ?? createResolve(),
    own: ownAddresses(deps, egressAddress),
    sessionOf: (id, peer) => {
      const session = sessions.get(sessionText(id));
      return session?.admission.peer === peer ? session : undefined;
    },
  };

  const onStream = async (stream: ByteStream) => {
    if (streams >= maxStreamsInAll) {
      askedInVain(stream.peer);
      return stream.abort(new Error("too many streams"));
    }
    streams += 1;
    try {
      await serveStream(streamDeps, settings, stream);
    } catch (error) {
      log.debug("a stream was dropped", { reason: (error as Error).message });
      stream.abort(error as Error);
    } finally {
      streams -= 1;
    }
  };

  const onControl = async (stream: FrameStream) => {
    try {
      const frame = await within(stream.receive(), settings.headerTimeoutMs, "PEER_TIMEOUT", "the first control message");
      const message = frame && toExitCodec.decode(frame);
      const session = message?.t === "open" ? streamDeps.sessionOf(message.session, stream.peer) : undefined;
      if (!session) throw new MystError("SESSION_UNKNOWN", "no such session of this peer");
      await session.control.attach(stream);
    } catch (error) {
      log.debug("a control stream was dropped", { reason: (error as Error).message });
      stream.abort(error as Error);
    }
  };

  const onAssociation = async (stream: FrameStream) => {
    try {
      await serveAssociation(streamDeps, settings, stream);
    } catch (error) {
      log.debug("a stream for datagrams was dropped", { reason: (error as Error).message });
      stream.abort(error as Error);
    }
  };

  const admit = async (admission: Admission): Promise<Grant> => {
    listening ??= Promise.all([
      network.handleBytes(streamProtocol, onStream),
      network.handleFrames(controlProtocol, { maxFrame: maxControlFrame }, onControl),
      network.handleFrames(datagramProtocol, { maxFrame: maxDatagramFrame }, onAssociation),
    ]);
    await listening;
    if (sessions.has(admission.sessionId)) throw new MystError("PEER_REFUSED", "this session has been admitted before");
    const session = createExitSession(deps, admission);
    sessions.set(admission.sessionId, session);
    return {
      connection: {},
      usedBytes: session.gate.usedBytes,
      unanswered: session.unanswered.read,
      allow: session.gate.allow,
      suspend: session.gate.suspend,
      end: () => {
        sessions.delete(admission.sessionId);
        return session.end();
      },
    };
  };

  return {
    kind: "proxy",
    policySummary: () => summary(policy),
    closedPorts: () => policy.closedPorts,
    admit,
    [Symbol.asyncDispose]: async () => {
      const ending = [...sessions.values()].map((session) => session.end());
      sessions.clear();
      await Promise.all(ending);
    },
  };
}

/** Every address this machine is reached at: its interfaces', what the network says of it, and the one it connects from. */
function ownAddresses({ network, clock }: ProxyProviderDeps, egressAddress: string | undefined): () => string[] {
  let known: string[] = [];
  let knownMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.nowMs() - knownMs > ownAddressesMs) {
      const local = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address));
      const announced = network.addresses().flatMap((address) => /^\/ip[46]\/([^/]+)/.exec(address)?.[1] ?? []);
      known = [...local, ...announced, ...(egressAddress ? [egressAddress] : [])].map((address) => address.replace(/%.*$/, ""));
      knownMs = clock.nowMs();
    }
    return known;
  };
}
