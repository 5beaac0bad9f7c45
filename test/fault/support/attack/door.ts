import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIdentity, type Identity } from "../../../../src/identity/identity.ts";
import type { Clock } from "../../../../src/lib/clock.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { openStore } from "../../../../src/lib/store.ts";
import type { ByteStream, FrameStream } from "../../../../src/network/network.ts";
import { type ClearingDomain, clearingDomain } from "../../../../src/payments/eip712.ts";
import type { AccountView } from "../../../../src/payments/settlement.ts";
import { streamProtocol } from "../../../../src/services/proxy/protocol.ts";
import { createProxyProvider } from "../../../../src/services/proxy/provider.ts";
import type { ServiceProvider } from "../../../../src/services/service.ts";
import { sessionProtocol } from "../../../../src/session/messages.ts";
import { bytePipe, networkPair } from "../../../support/byte-pipe.ts";
import { composeExit, type ExitSeams } from "../../../support/exit-rig.ts";
import { framePipe } from "../../../support/frame-pipe.ts";
import { myst } from "../market.ts";

/** A payer: `none` has no account on the contract, `closing` is about to take its money. */
export type Standing = "open" | "closing" | "none";
export type Payer = AsyncDisposable & {
  identity: Identity;
  standing: Standing;
  /** a stream for a session, and one for a proxied connection */
  open(): Promise<FrameStream>;
  connect(): Promise<ByteStream>;
};

/** An exit to be cheated, and what is known of it. */
export type Door = AsyncDisposable & {
  domain: ClearingDomain;
  exit: { peer: string; address: Hex };
  service: string;
  prices: { perHour: bigint; perGiB: bigint };
  /** of each payer */
  deposit: bigint;
  bond: bigint;
  clock: Pick<Clock, "nowMs">;
  /** ms by its clock that terms may be made good for to be over soon, and not before anybody is through */
  shortMs: number;
  payer(standing?: Standing): Promise<Payer>;
  /** what the exit has of everybody's promises, by channel */
  held(): Promise<Map<Hex, { signer: Hex; cumulative: bigint }>>;
  /** who pays meanwhile, and honestly */
  bystanders: Set<Hex>;
};

/** time costs next to nothing, so that what was paid is what may be carried, nearly to the byte */
export const prices = { perHour: myst / 10n ** 9n, perGiB: myst / 10n };
export const deposit = 100n * myst;
export const bond = myst;

/** Time of the exits in this process: what they wait for on behalf of a payer takes a sixteenth of the time. */
export const fastClock = (): Clock => {
  const beganMs = Date.now();
  return { ...systemClock, nowMs: () => beganMs + Math.round((Date.now() - beganMs) * 16) };
};

/** `peerOf`: who is taken to be at the other end of a proxied connection, and to have been admitted. */
export type DoorSeams = ExitSeams & {
  peerOf?(peer: string): string;
  /** what the contract has paid to this exit, on the one channel of each payer */
  paid?: bigint;
};

/** The real session server, ledger and proxy behind streams in memory; `seams` are what a control goes without. */
export async function openDoor(seamsOf: (domain: ClearingDomain) => DoorSeams = () => ({})): Promise<Door> {
  const directory = await mkdtemp(join(tmpdir(), "mystnode-door-"));
  const store = await openStore(directory);
  const identity = createIdentity(randomBytes(32));
  const domain = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });
  const { peerOf = (peer) => peer, paid = 0n, ...seams } = seamsOf(domain);
  const clock = seams.clock ?? fastClock();
  const standings = new Map<Hex, Standing>();
  const readAccount = async (owner: Hex): Promise<AccountView> => {
    const standing = standings.get(owner) ?? "none";
    const has = standing === "none" ? 0n : 1n;
    return {
      ...{ balance: has * (deposit - paid), line: has * deposit, bond: has * bond, owner, readAtMs: clock.nowMs() },
      closeAtMs: standing === "closing" ? clock.nowMs() + 1_000_000 : undefined,
    };
  };
  const [, exit] = networkPair("nobody", identity.peerId);
  const handlers = new Map<string, (stream: never) => Promise<void>>();
  const network = {
    ...exit,
    handleFrames: async (protocol: string, _: object, handler: (stream: FrameStream) => Promise<void>) =>
      void handlers.set(protocol, handler),
    handleBytes: async (protocol: string, handler: (stream: ByteStream) => Promise<void>) =>
      void handlers.set(protocol, (stream: ByteStream) => handler({ ...stream, peer: peerOf(stream.peer) })),
  };
  const proxy = createProxyProvider({ network, log: silentLogger, clock }, { allow: ["127.0.0.0/8"], block: [] });
  const service: ServiceProvider = { ...proxy, admit: (one) => proxy.admit({ ...one, peer: peerOf(one.peer) }) };
  const limits = { maxUnsettled: 4n * myst, minBond: bond };
  const parts = {
    network,
    store,
    identity,
    domain,
    readAccount,
    readPaid: async () => paid,
    limits,
    services: [{ service, ...prices }],
    maxSessions: 1_000,
  };
  const { ledger, server } = await composeExit(parts, { ...seams, clock });
  /** As libp2p has it: a handler that throws resets its stream, one that returns ends it. */
  const serve = <S extends FrameStream | ByteStream>(protocol: string, stream: S, end: () => Promise<void>) => {
    const handled = (handlers.get(protocol) as ((stream: S) => Promise<void>) | undefined)?.(stream);
    handled?.then(end, (error) => stream.abort(error));
  };
  return {
    ...{
      domain,
      service: "proxy",
      prices,
      deposit,
      bond,
      clock,
      shortMs: 48_000,
      exit: { peer: identity.peerId, address: identity.address },
    },
    payer: async (standing = "open") => {
      const payer = createIdentity(randomBytes(32));
      standings.set(payer.address, standing);
      return {
        ...{ identity: payer, standing },
        open: async () => {
          const [ours, theirs] = framePipe(payer.peerId, identity.peerId);
          serve(sessionProtocol, theirs, theirs.close);
          return ours;
        },
        connect: async () => {
          const [ours, theirs] = bytePipe(payer.peerId, identity.peerId);
          serve(streamProtocol, theirs, theirs.closeWrite);
          return ours;
        },
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
    held: async () => new Map(ledger.channels().map(({ channel, signer, cumulative }) => [channel, { signer, cumulative }])),
    bystanders: new Set(),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await proxy[Symbol.asyncDispose]();
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}
