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
type Directory = { path: string };
type Payer = Awaited<ReturnType<typeof openPayer>>;

const domain = clearingDomain({ chainId: 31337, contract: `0x${"11".repeat(20)}` });
const clock = systemClock;
const signTerms =
  (identity: ReturnType<typeof createIdentity>) => (session: Uint8Array, signer: `0x${string}`, channel: `0x${string}`, terms: Terms) =>
    identity.sign(termsDigest(domain, termsData(session, signer, channel, terms)));

/** A payer with a ledger of its own on disk, and a deposit. */
export async function openPayer({ path }: Directory) {
  const store = await openStore(join(path, "payer"));
  const identity = createIdentity(randomBytes(32));
  const account: AccountView = {
    balance: rich,
    line: rich,
    bond: rich,
    closeAtMs: undefined,
    owner: identity.address,
    readAtMs: Date.now(),
  };
  const ledger = await openPayerLedger({ store, identity, clock }, domain);
  await ledger.begin();
  await ledger.reconcile(account);
  return {
    ...{ store, identity, account, ledger },
    /** what its sessions need, but for whom they are with */
    deps: {
      ...{ ledger, line: () => rich, signer: identity.address, clock, log: silentLogger },
      signTerms: (session: Uint8Array, channel: `0x${string}`, terms: Terms) =>
        signTerms(identity)(session, identity.address, channel, terms),
    },
  };
}

/** An exit with a ledger of its own on disk, that sells `service` to that payer over in-memory streams. */
export async function openProvider(
  { path }: Directory,
  name: string,
  payer: Payer,
  service: ReturnType<typeof meteredService>,
  { heads, lists = () => ({}), maxUnsettled = rich, clears = false }: Options = {},
) {
  const store = await openStore(join(path, name));
  const identity = createIdentity(randomBytes(32));
  const ledger = await openProviderLedger({ store, self: identity.address, clock }, domain);
  const settled: string[] = [];
  const relieved: string[] = [];
  let chainUp: boolean | "silent" = true;
  let isLate = false;
  let accountReads = 0;
  let accept: (stream: FrameStream) => Promise<void> = async () => undefined;
  const server = await createSessionServer(
    {
      network: {
        handleFrames: async (_, __, handler) => {
          accept = handler;
        },
      },
      ledger,
      settler: {
        consider: () => undefined,
        requestSettle: (reason) => settled.push(reason),
        relieve: async (signer) => {
          relieved.push(signer ?? "");
          if (clears) for (const channel of ledger.channels()) await ledger.settled(channel, channel.cumulative);
        },
        overdue: () => isLate,
        worthClearing: () => 0n,
      },
      readAccount: async () => {
        accountReads += 1;
        if (!chainUp) throw new Error("no RPC");
        if (chainUp === "silent") await new Promise(() => undefined);
        return { ...payer.account, readAtMs: Date.now() };
      },
      readPaid: async () => 0n,
      limits: { maxUnsettled, minBond: 0n },
      heads,
      signTerms: signTerms(identity),
      domain,
      self: identity.address,
      clock,
      log: silentLogger,
    },
    { services: [{ service: service.provider, ...prices }], maxSessions: 2, onChange: () => undefined, ...lists(payer.identity.address) },
  );
  return {
    ...{ identity, ledger, server, settled, relieved },
    accept: (stream: FrameStream) => accept(stream),
    accountReads: () => accountReads,
    chain: (now: boolean | "silent") => {
      chainUp = now;
    },
    /** whether a settlement of its own is overdue */
    late: (now: boolean) => {
      isLate = now;
    },
    close: async () => {
      await server.stop();
      await store.close();
    },
  };
}

/** A payer and a provider with ledgers of their own on disk, joined by in-memory streams. */
export async function sessionMarket(options: Options = {}) {
  const path = await mkdtemp(join(tmpdir(), "mystnode-session-"));
  const payer = await openPayer({ path });
  const service = meteredService();
  const provider = await openProvider({ path }, "provider", payer, service, options);
  let line: FrameStream | undefined;
  let framesRead = 0;
  const openFramesAs = async (peer: string) => {
    const [consumerEnd, providerEnd] = framePipe(peer, provider.identity.peerId);
    line = consumerEnd;
    const receive: FrameStream["receive"] = async (signal) => {
      framesRead += 1;
      return providerEnd.receive(signal);
    };
    void provider.accept({ ...providerEnd, receive });
    return consumerEnd;
  };
  const openFrames = () => openFramesAs(payer.identity.peerId);
  const open = (
    change: { budget?: bigint; terms?: Partial<Terms> } & Pick<ConsumerSessionOptions, "onPromise" | "onLost" | "answerMs"> = {},
  ) =>
    openSession(
      { ...payer.deps, network: { openFrames }, service: service.consumer },
      {
        exit: { peer: provider.identity.peerId, address: provider.identity.address },
        terms: { ...prices, quantum: quantumLimit(prices, change.budget ?? rich), validUntilMs: Date.now() + 60_000, ...change.terms },
        budget: change.budget ?? rich,
        signal: new AbortController().signal,
        ...(change.onPromise && { onPromise: change.onPromise }),
        ...(change.onLost && { onLost: change.onLost }),
        ...(change.answerMs !== undefined && { answerMs: change.answerMs }),
      },
    );
  return {
    open,
    openFrames,
    openFramesAs,
    service,
    server: provider.server,
    settled: provider.settled,
    relieved: provider.relieved,
    ledger: payer.ledger,
    providerLedger: provider.ledger,
    line: () => line as FrameStream,
    framesRead: () => framesRead,
    accountReads: provider.accountReads,
    chain: provider.chain,
    /** a promise with the payer's key, from elsewhere: its ledger knows nothing of it */
    signElsewhere: (promise: PromiseData) => signPromise(domain, payer.identity, promise),
    payer: payer.identity,
    late: provider.late,
    [Symbol.asyncDispose]: async () => {
      await provider.close();
      await payer.store.close();
      await rm(path, { recursive: true });
    },
  };
}
