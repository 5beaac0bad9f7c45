import { peerAddress } from "../identity/peer.ts";
import { recoverAddress } from "../identity/signature.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import type { FrameStream, Network } from "../network/network.ts";
import { type ClearingDomain, termsDigest } from "../payments/eip712.ts";
import { channelId } from "../payments/promise.ts";
import type { Settler } from "../payments/settler.ts";
import type { Terms } from "../payments/terms.ts";
import type { ServiceProvider } from "../services/service.ts";
import { maxSessionFrame, type Proposal, type Rejoining, sessionProtocol } from "./messages.ts";
import { clearEarly } from "./newcomers.ts";
import { isCarrying, type ProviderEvent } from "./provider.ts";
import { type ProviderDeps, type ProviderSession, startProviderSession } from "./provider-driver.ts";
import { receiveFirst, refuse } from "./provider-stream.ts";

export type ServerDeps = ProviderDeps & {
  network: Pick<Network, "handleFrames">;
  domain: ClearingDomain;
  /** what a proposal must be before its money is looked at; default `checkProposal` */
  check?: typeof checkProposal;
};

/** One kind of service that is for sale, at its price now. */
export type ServedService = { service: ServiceProvider; perGiB: bigint; perHour: bigint };

export type ServerOptions = {
  services: ServedService[];
  maxSessions: number;
  /** in words for people, why no session may begin now; default: it may */
  closed?(): string | undefined;
  /** nobody but these payers is served; default everybody */
  allowPayers?: readonly Hex[] | undefined;
  /** these never are */
  blockPayers?: readonly Hex[] | undefined;
  onChange(session: ProviderSession, event: ProviderEvent): void;
};

export type SessionServer = {
  /** sessions that are not over */
  sessions(): ProviderSession[];
  /** Ends every session and takes no further one; resolves when all are on disk. */
  stop(): Promise<void>;
};

const proposalMs = 10_000;
/** terms may be agreed on for a week at most; a day more for clocks */
const maxValidityMs = 8 * 86_400_000;

/** Answers proposals: checks what is asked for, admits up to `maxSessions`, and runs each session to its end. */
export async function createSessionServer(given: ServerDeps, options: ServerOptions): Promise<SessionServer> {
  const open = new Map<string, ProviderSession>();
  let stopped = false;
  const log = given.log.child("sessions");
  const clear = clearEarly({ ...given, log });
  const consider: Settler["consider"] = (ref) => {
    given.settler.consider(ref);
    clear(ref.signer);
  };
  const deps: ServerDeps = { ...given, settler: { ...given.settler, consider } };
  const { check = checkProposal } = deps;
  const openOf = (signer: string) => [...open.values()].find((session) => session.signer === signer);

  /** A session whose consumer's address has changed, say, goes on over another stream of the same peer. */
  const rejoin = async (stream: FrameStream, { session: id }: Rejoining) => {
    const session = open.get(Buffer.from(id).toString("hex"));
    if (session?.peer !== stream.peer || !isCarrying(session.state())) throw refused("SESSION_UNKNOWN", "no such session is open");
    session.rejoin(stream);
    await session.over;
  };
  const answer = async (stream: FrameStream) => {
    const proposal = await receiveFirst(stream, proposalMs);
    if (proposal.t === "rejoin") return rejoin(stream, proposal);
    const served = check(deps, options, proposal, stream.peer);
    const id = Buffer.from(proposal.session).toString("hex");
    if (open.has(id)) throw refused("PROMISE_REFUSED", "that session is known already");
    // A payer has one session at a time: it comes back before its old one was missed. Several that wait for one end look again,
    // each in its turn, or they would all begin on what one promise pays for.
    for (let other = openOf(proposal.signer); other; other = openOf(proposal.signer)) {
      other.send({ type: "lost", code: "PEER_UNREACHABLE", message: "the consumer came back with a new session" });
      await other.over;
      open.delete(other.id);
    }
    if (stopped) throw refused("EXIT_FULL", "this exit is shutting down");
    const closed = options.closed?.();
    if (closed !== undefined) throw refused("EXIT_FULL", closed);
    if (open.size >= options.maxSessions) throw refused("EXIT_FULL", `all ${options.maxSessions} places are taken`);
    const session = startProviderSession(deps, stream, proposal, served.service, options.onChange);
    open.set(id, session);
    await session.over;
    open.delete(id);
  };

  await deps.network.handleFrames(sessionProtocol, { maxFrame: maxSessionFrame }, async (stream) => {
    try {
      await answer(stream);
    } catch (error) {
      const { code, message } = asMystError(error);
      log.info("a proposal was refused", { peer: stream.peer, code });
      // What went wrong inside is not for the other side to read.
      await refuse(stream, code, code === "INTERNAL" ? "the exit cannot serve now" : message);
    }
  });

  return {
    sessions: () => [...open.values()],
    stop: async () => {
      stopped = true;
      const all = [...open.values()];
      for (const session of all) session.send({ type: "lost", code: "INTERRUPTED", message: "the exit is shutting down" });
      await Promise.all(all.map((session) => session.over));
    },
  };
}

const refused = (code: ErrorCode, message: string) => new MystError(code, message);

/** Everything about a proposal that needs no money: cheap checks first, the consent's signature last. @throws what it is refused with */
export function checkProposal(deps: ServerDeps, options: ServerOptions, proposal: Proposal, peer: string): ServedService {
  const served = options.services.find(({ service }) => service.kind === proposal.service);
  if (!served) throw refused("SERVICE_UNKNOWN", `this exit does not serve ${proposal.service}`);
  if (proposal.perGiB < served.perGiB || proposal.perHour < served.perHour)
    throw refused("OFFER_EXPIRED", "the price has risen since that offer");
  if (!isServed(options, proposal.signer)) throw refused("PAYER_REFUSED", "this exit does not serve this payer");
  // A place is for who pays. That there is money behind what it buys is looked at next.
  const { bytes, ms } = proposal.bought;
  if ((proposal.perGiB > 0n && bytes === 0n) || (proposal.perHour > 0n && ms === 0))
    throw refused("PROMISE_REFUSED", "a proposal buys the first quantum");
  const nowMs = deps.clock.nowMs();
  if (proposal.validUntilMs < nowMs || proposal.validUntilMs > nowMs + maxValidityMs)
    throw refused("OFFER_EXPIRED", "the terms are not valid now; are both clocks right?");
  // or whoever has got hold of a payer's proposal could end its session and use what it has prepaid
  if (peerAddress(peer) !== proposal.signer) throw refused("PROMISE_REFUSED", "the payer is another than the peer");
  if (!consents(deps, proposal)) throw refused("PROMISE_REFUSED", "the terms are not signed by the payer");
  return served;
}

/** The operator's own lists; a payer that is blocked is not served, on whatever other list it is. */
const isServed = ({ allowPayers = [], blockPayers = [] }: Pick<ServerOptions, "allowPayers" | "blockPayers">, signer: Hex): boolean =>
  !blockPayers.includes(signer) && (allowPayers.length === 0 || allowPayers.includes(signer));

function consents({ domain, self }: ServerDeps, proposal: Proposal): boolean {
  const digest = termsDigest(domain, termsData(proposal.session, proposal.signer, channelId(self, proposal.salt), proposal));
  try {
    return recoverAddress(digest, proposal.termsSignature) === proposal.signer;
  } catch {
    return false;
  }
}

/** A session's terms in their signed form: the 16-byte session id stands left-aligned in 32 bytes, times are in seconds. */
export const termsData = (session: Uint8Array, signer: `0x${string}`, channel: `0x${string}`, terms: Terms) => ({
  session: `0x${Buffer.from(session).toString("hex").padEnd(64, "0")}` as const,
  signer,
  channel,
  perHour: terms.perHour,
  perGiB: terms.perGiB,
  quantum: terms.quantum,
  validUntil: BigInt(Math.floor(terms.validUntilMs / 1000)),
});
