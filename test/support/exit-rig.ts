import type { Identity } from "../../src/identity/identity.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import type { Store } from "../../src/lib/store.ts";
import type { FrameStream, Network } from "../../src/network/network.ts";
import type { ProviderLimits } from "../../src/payments/channel.ts";
import { type ClearingDomain, termsDigest } from "../../src/payments/eip712.ts";
import { openProviderLedger, type ProviderLedger, type ProviderLedgerDeps } from "../../src/payments/provider-ledger.ts";
import type { AccountView } from "../../src/payments/settlement.ts";
import { createSessionServer, type ServedService, type ServerDeps, type SessionServer, termsData } from "../../src/session/server.ts";

/** What of an exit a test may put in the place of the real thing: that is how a control goes without one defence. */
export type ExitSeams = Pick<ServerDeps, "check" | "step"> &
  Pick<ProviderLedgerDeps, "findSigners"> & {
    ledger?(ledger: ProviderLedger): ProviderLedger;
    /** stands before the stream of each session */
    stream?(stream: FrameStream): FrameStream;
    clock?: Clock;
  };

export type ExitParts = {
  network: Pick<Network, "handleFrames">;
  store: Store;
  identity: Identity;
  domain: ClearingDomain;
  services: ServedService[];
  readAccount(signer: Hex): Promise<AccountView>;
  readPaid?: ServerDeps["readPaid"];
  limits: ProviderLimits;
  maxSessions: number;
};

/** The selling side of a node, with its real ledger and session server, and nobody who settles. */
export async function composeExit(parts: ExitParts, seams: ExitSeams = {}): Promise<{ ledger: ProviderLedger; server: SessionServer }> {
  const { network, store, identity, domain, services, readAccount, readPaid = async () => 0n, limits, maxSessions } = parts;
  const { check, step, findSigners, stream: before, clock = systemClock } = seams;
  const deps = { store, self: identity.address, clock, ...(findSigners && { findSigners }) };
  const opened = await openProviderLedger(deps, domain);
  const ledger = seams.ledger?.(opened) ?? opened;
  const handleFrames: Network["handleFrames"] = (protocol, options, handler) =>
    network.handleFrames(protocol, options, (stream) => handler(before?.(stream) ?? stream));
  const server = await createSessionServer(
    {
      ...{ network: { handleFrames }, ledger, readAccount, readPaid, limits, domain, self: identity.address, clock, log: silentLogger },
      ...{ ...(check && { check }), ...(step && { step }) },
      settler: { consider: () => undefined, requestSettle: () => undefined, relieve: async () => undefined, overdue: () => false },
      signTerms: (session, signer, channel, terms) => identity.sign(termsDigest(domain, termsData(session, signer, channel, terms))),
    },
    { services, maxSessions, onChange: () => undefined },
  );
  return { ledger, server };
}
