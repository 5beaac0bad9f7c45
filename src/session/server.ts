import { recoverAddress } from "../identity/signature.ts";
import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import type { FrameStream, Network } from "../network/network.ts";
import { type ClearingDomain, termsDigest } from "../payments/eip712.ts";
import { channelId } from "../payments/promise.ts";
import type { Terms } from "../payments/terms.ts";
import type { ServiceProvider } from "../services/service.ts";
import { maxSessionFrame, type Proposal, sessionProtocol } from "./messages.ts";
import type { ProviderEvent } from "./provider.ts";
import { type ProviderDeps, type ProviderSession, receiveProposal, refuseProposal, startProviderSession } from "./provider-driver.ts";

export type ServerDeps = ProviderDeps & { network: Pick<Network, "handleFrames">; domain: ClearingDomain };

/** One kind of service that is for sale, at its price now. */
export type ServedService = { service: ServiceProvider; perGiB: bigint; perHour: bigint };

export type ServerOptions = {
  services: ServedService[];
  maxSessions: number;
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
export async function createSessionServer(deps: ServerDeps, options: ServerOptions): Promise<SessionServer> {
  const open = new Map<string, ProviderSession>();
  let stopped = false;
  const log = deps.log.child("sessions");

  const answer = async (stream: FrameStream) => {
    const proposal = await receiveProposal(stream, proposalMs);
    const served = check(deps, options, proposal);
    const id = Buffer.from(proposal.session).toString("hex");
    if (stopped) throw refused("EXIT_FULL", "this exit is shutting down");
    if (open.has(id)) throw refused("PROMISE_REFUSED", "that session is known already");
    await endPredecessor(deps, open, proposal);
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
      await refuseProposal(stream, code, code === "INTERNAL" ? "the exit cannot serve now" : message);
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

/** Everything about a proposal that needs no money: cheap checks first, the consent's signature last. */
function check(deps: ServerDeps, options: ServerOptions, proposal: Proposal): ServedService {
  const served = options.services.find(({ service }) => service.kind === proposal.service);
  if (!served) throw refused("SERVICE_UNKNOWN", `this exit does not serve ${proposal.service}`);
  if (proposal.perGiB < served.perGiB || proposal.perHour < served.perHour)
    throw refused("OFFER_EXPIRED", "the price has risen since that offer");
  const nowMs = deps.clock.nowMs();
  if (proposal.validUntilMs < nowMs || proposal.validUntilMs > nowMs + maxValidityMs)
    throw refused("OFFER_EXPIRED", "the terms are not valid now; are both clocks right?");
  if (!consents(deps, proposal)) throw refused("PROMISE_REFUSED", "the terms are not signed by the payer");
  return served;
}

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

/** A consumer that comes back before its old session was missed begins anew: one channel counts for one session at a time. */
async function endPredecessor({ self }: ServerDeps, open: Map<string, ProviderSession>, proposal: Proposal): Promise<void> {
  const channel = channelId(self, proposal.salt);
  for (const session of open.values()) {
    if (session.channel !== channel || session.signer !== proposal.signer) continue;
    session.send({ type: "lost", code: "PEER_UNREACHABLE", message: "the consumer came back with a new session" });
    await session.over;
  }
}
