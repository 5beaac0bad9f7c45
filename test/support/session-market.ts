import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIdentity } from "../../src/identity/identity.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { openStore } from "../../src/lib/store.ts";
import type { FrameStream } from "../../src/network/network.ts";
import { clearingDomain, type PromiseData, termsDigest } from "../../src/payments/eip712.ts";
import { openPayerLedger } from "../../src/payments/payer-ledger.ts";
import { signPromise } from "../../src/payments/promise.ts";
import { openProviderLedger } from "../../src/payments/provider-ledger.ts";
import { quantumLimit } from "../../src/payments/quantum.ts";
import type { AccountView } from "../../src/payments/settlement.ts";
import type { Terms } from "../../src/payments/terms.ts";
import type { AcceptingDeps } from "../../src/session/accepting.ts";
import { type ConsumerSessionOptions, openSession } from "../../src/session/consumer-driver.ts";
import { createSessionServer, type ServerOptions, termsData } from "../../src/session/server.ts";
import { framePipe } from "./frame-pipe.ts";
import { meteredService } from "./metered-service.ts";

export const prices = { perHour: 3_600n, perGiB: 1n << 30n };
const rich = 1n << 60n;

type Lists = Pick<ServerOptions, "allowPayers" | "blockPayers">;
/**
 * `heads`: what the provider knows of payers elsewhere, if anything; `lists`: the exit's, once its payer is known; `clears`: what is to be
 * cleared is, at once
 */
type Options = { heads?: AcceptingDeps["heads"]; lists?: (payer: Hex) => Lists; maxUnsettled?: bigint; clears?: boolean };

/** A payer and a provider with ledgers of their own on disk, joined by in-memory streams. */
export async function sessionMarket({ heads, lists = () => ({}), maxUnsettled = rich, clears = false }: Options = {}) {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-session-"));
  const [payerStore, providerStore] = [await openStore(join(directory, "payer")), await openStore(join(directory, "provider"))];
  const [payer, provider] = [createIdentity(randomBytes(32)), createIdentity(randomBytes(32))];
  const domain = clearingDomain({ chainId: 31337, contract: `0x${"11".repeat(20)}` });
  const clock = systemClock;
  const account: AccountView = { balance: rich, line: rich, bond: rich, closeAtMs: undefined, owner: payer.address, readAtMs: Date.now() };
  const ledger = await openPayerLedger({ store: payerStore, identity: payer, clock }, domain);
  await ledger.begin();
  await ledger.reconcile(account);
  const providerLedger = await openProviderLedger({ store: providerStore, self: provider.address, clock }, domain);
  const service = meteredService();
  const settled: string[] = [];
  const relieved: string[] = [];
  let chainUp: boolean | "silent" = true;
  let isLate = false;
  let accept: (stream: FrameStream) => Promise<void> = async () => undefined;
  const signTerms = (identity: typeof payer) => (session: Uint8Array, signer: `0x${string}`, channel: `0x${string}`, terms: Terms) =>
    identity.sign(termsDigest(domain, termsData(session, signer, channel, terms)));
  const server = await createSessionServer(
    {
      network: {
        handleFrames: async (_, __, handler) => {
          accept = handler;
        },
      },
      ledger: providerLedger,
      settler: {
        consider: () => undefined,
        requestSettle: (reason) => settled.push(reason),
        relieve: async (signer) => {
          relieved.push(signer ?? "");
          if (clears) for (const channel of providerLedger.channels()) await providerLedger.settled(channel, channel.cumulative);
        },
        overdue: () => isLate,
        worthClearing: () => 0n,
      },
      readAccount: async () => {
        accountReads += 1;
        if (!chainUp) throw new Error("no RPC");
        if (chainUp === "silent") await new Promise(() => undefined);
        return { ...account, readAtMs: Date.now() };
      },
      readPaid: async () => 0n,
      limits: { maxUnsettled, minBond: 0n },
      heads,
      signTerms: signTerms(provider),
      domain,
      self: provider.address,
      clock,
      log: silentLogger,
    },
    { services: [{ service: service.provider, ...prices }], maxSessions: 2, onChange: () => undefined, ...lists(payer.address) },
  );
  let line: FrameStream | undefined;
  let framesRead = 0;
  let accountReads = 0;
  const openFrames = async () => {
    const [consumerEnd, providerEnd] = framePipe(payer.peerId, provider.peerId);
    line = consumerEnd;
    const receive: FrameStream["receive"] = async (signal) => {
      framesRead += 1;
      return providerEnd.receive(signal);
    };
    void accept({ ...providerEnd, receive });
    return consumerEnd;
  };
  const open = (change: { budget?: bigint; terms?: Partial<Terms>; onPromise?: ConsumerSessionOptions["onPromise"] } = {}) =>
    openSession(
      {
        network: { openFrames },
        ledger,
        line: () => rich,
        service: service.consumer,
        signTerms: (session, channel, terms) => signTerms(payer)(session, payer.address, channel, terms),
        signer: payer.address,
        clock,
        log: silentLogger,
      },
      {
        exit: { peer: provider.peerId, address: provider.address },
        terms: { ...prices, quantum: quantumLimit(prices, change.budget ?? rich), validUntilMs: Date.now() + 60_000, ...change.terms },
        budget: change.budget ?? rich,
        signal: new AbortController().signal,
        ...(change.onPromise && { onPromise: change.onPromise }),
      },
    );
  return {
    open,
    openFrames,
    service,
    server,
    settled,
    relieved,
    ledger,
    providerLedger,
    line: () => line as FrameStream,
    framesRead: () => framesRead,
    accountReads: () => accountReads,
    chain: (now: boolean | "silent") => {
      chainUp = now;
    },
    /** a promise with the payer's key, from elsewhere: its ledger knows nothing of it */
    signElsewhere: (promise: PromiseData) => signPromise(domain, payer, promise),
    payer,
    /** whether a settlement of the provider's is overdue */
    late: (now: boolean) => {
      isLate = now;
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await payerStore.close();
      await providerStore.close();
      await rm(directory, { recursive: true });
    },
  };
}
