import { createChain } from "./chain/client.ts";
import { openDatabases } from "./country/databases.ts";
import { answerObservations } from "./country/observing.ts";
import { systemClock } from "./lib/clock.ts";
import { MystError } from "./lib/errors.ts";
import { deadline } from "./lib/lifecycle.ts";
import { silentLogger } from "./lib/ports.ts";
import { openStore } from "./lib/store.ts";
import { ownAccount } from "./node/account.ts";
import { bindNetwork, openOwner } from "./node/binding.ts";
import type { ConnectingDeps } from "./node/connecting.ts";
import type { ConsumingDeps } from "./node/consuming.ts";
import { mindDoubt } from "./node/doubts.ts";
import { endInOrder, trackWork } from "./node/ending.ts";
import { createEvents } from "./node/events.ts";
import { stayConnected } from "./node/failover/connection.ts";
import { findExits } from "./node/finding.ts";
import { checkHops } from "./node/hops.ts";
import { type Joined, joinNetwork } from "./node/joining.ts";
import { type Judging, startJudging } from "./node/judging.ts";
import { listExits } from "./node/listing.ts";
import { lookForExits } from "./node/looking.ts";
import { createMeeting } from "./node/meeting.ts";
import { type Providing, provide } from "./node/providing.ts";
import { keepRecords } from "./node/recording.ts";
import { retiredKeys } from "./node/retired.ts";
import { statusOf } from "./node/status.ts";
import { createTunnelling } from "./node/tunnelling.ts";
import type { Connection, ConnectOptions, ExitView, Node, NodeOptions, ServeOptions } from "./node/types.ts";
import { interruptedSession, type StoredSession, sessionView } from "./node/views.ts";
import { createWallet } from "./node/wallet.ts";
import { notLetThrough } from "./node/watching.ts";
import { watchEgress, wayThrough } from "./node/witnessing.ts";
import { clearingDomain, termsDigest } from "./payments/eip712.ts";
import { openPayerLedger } from "./payments/payer-ledger.ts";
import { openProviderLedger } from "./payments/provider-ledger.ts";
import { createSettler, type Settler } from "./payments/settler.ts";
import { createSigners } from "./payments/signers.ts";
import { createProxyConsumer } from "./services/proxy/consumer.ts";
import type { ServiceConsumer } from "./services/service.ts";
import { openRecords } from "./session/records.ts";
import { answerResume, createRecall } from "./session/resume.ts";
import { termsData } from "./session/server.ts";
import { openHanded } from "./watch/handed.ts";

export type * from "./node/types.ts";

const stopGraceMs = 5_000;
/** how long the end of a part may take; sessions say goodbye to the other side, which may stand still */
const partMs = 3_000;
const sessionMs = 10_000;
const standingMs = 1_000;
const defaultProxy = "127.0.0.1:1080";

/**
 * Opens the node of a data directory: identity, ledgers, wallet. `start` then brings it into the network.
 * @throws GEOIP_UNUSABLE, DATA_DIR_LOCKED and the other errors of `openStore`, those of `openIdentity`, NETWORK_MISMATCH
 */
export async function createNode(options: NodeOptions): Promise<Node> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLogger;
  const config = options.network;
  const databases = await openDatabases(options.geoipDbs ?? []);
  await using undo = new AsyncDisposableStack();
  const store = undo.use(await openStore(options.dataDir));
  await bindNetwork(store, config);
  const { identity, created } = await openOwner(store, options.dataDir, options.passphrase);
  const { address, peerId } = identity;
  const domain = clearingDomain(config);
  const chain = createChain({
    network: config,
    identity,
    log: log.child("chain"),
    clock,
    ...(options.rpc !== undefined && { rpc: options.rpc }),
  });
  const payer = await openPayerLedger({ store, identity, clock }, domain);
  if (created) await payer.begin();
  await mindDoubt({ store, payer, log });
  const signers = undo.use(createSigners(domain, log.child("payments")));
  const provider = await openProviderLedger({ store, self: address, clock, findSigners: signers.find }, domain);
  const handed = await openHanded(store, domain, address);
  const records = await openRecords<StoredSession>(store, interruptedSession);
  const events = createEvents(log);
  const recording = keepRecords({ records, ledger: provider, events, clock, log });
  const stopping = new AbortController();
  const { underWay, tracked } = trackWork(stopping.signal);
  const startedMs = clock.nowMs();
  let online: (Joined & { judging: Judging; recall: ConnectingDeps["recall"] }) | undefined;
  let providing: Providing | undefined;
  let settler: Settler | undefined;
  let connection: Connection | undefined;
  let connecting = false;

  const openSettler = (settleAt: bigint, payout = address): Settler => {
    const made = createSettler({ settlement: chain, ledger: provider, store, log: log.child("settler"), clock, payout }, { settleAt });
    made.onSettled(({ hash, paid, claims, credited }) => {
      for (const { channel, paidInAll } of claims) recording.onPaid(channel, paidInAll);
      events.emit({ type: "settled", hash, claims: claims.length, paid });
      if (credited > 0n) events.emit({ type: "warning", ...notLetThrough });
    });
    return made;
  };
  const requireOnline = () => {
    if (!online) throw new MystError("NODE_NOT_RUNNING", "the node has not joined the network", { hint: "call start() first" });
    return online;
  };
  const finding = () => ({
    ...requireOnline(),
    network: tunnelling.dialler,
    unit: config.token,
    self: { peer: peerId },
  });
  const signTerms = (session: Uint8Array, signer: `0x${string}`, channel: `0x${string}`, terms: Parameters<typeof termsData>[3]) =>
    identity.sign(termsDigest(domain, termsData(session, signer, channel, terms)));

  const account = ownAccount({ chain, payer, clock, address });

  const tunnelling = createTunnelling({
    helper: options.helper,
    network: () => online?.network,
    bootstrap: [...config.bootstrap, ...(options.bootstrap ?? [])],
    rpc: [...(options.rpc !== undefined ? [options.rpc] : []), ...config.rpc],
    clock,
    log: log.child("tunnel"),
  });

  const isPayer = (signer: `0x${string}`) => provider.account(signer) !== undefined;

  const here = () => options.here ?? providing?.serving.options.country;

  const start = async () => {
    if (online) return;
    await tunnelling.adopt();
    const joined = await joinNetwork({ identity, store, clock, log, config, chain, isPayer }, options);
    const { network, discovery } = joined;
    discovery.onOffer(({ offer }, source) => events.emit({ type: "offer", peer: offer.peer, country: offer.country, source }));
    network.onDisconnect((peer) => events.emit({ type: "peer", peer, connected: false }));
    await answerObservations({ network, identity, domain: config, clock });
    await answerResume({ network, ledger: payer, clock, onBehind: ({ code, message }) => events.emit({ type: "warning", code, message }) });
    const parts = { network, discovery, chain, payer, identity, store, clock, log, databases, here };
    online = { ...joined, recall: createRecall({ network, ledger: payer }), judging: await startJudging(parts, config, options) };
  };

  const serve = async (serveOptions: ServeOptions) => {
    const { network, discovery, announcers, askFirst } = requireOnline();
    settler = openSettler(serveOptions.settleAt, serveOptions.payout);
    providing = await provide(
      {
        ...{ network, discovery, chain, ledger: provider, settler, store, findSigners: signers.find, domain, config, signTerms },
        ...{ self: address, identity, handed, recording, events, clock, log, signal: stopping.signal },
        ...(options.helper && { helper: options.helper }),
      },
      serveOptions,
    );
    const { heads } = providing.guarding;
    askFirst((signer) => heads.isBonded(signer, config.minBond));
    if (serveOptions.services.length > 0) await announcers.check([address], deadline(standingMs, stopping.signal));
  };

  const connect = async (connectOptions: ConnectOptions): Promise<Connection> => {
    const { network, discovery, judging } = requireOnline();
    if (connection || connecting)
      throw new MystError("ALREADY_CONNECTED", "this node has a connection already", { hint: "end it with 'mystnode disconnect'" });
    connecting = true;
    try {
      const looking = { network, judging, dialler: tunnelling.dialler, config, databases, clock, log };
      const witness: ConsumingDeps["witness"] = (exit, endpoint, onSeen) => watchEgress(looking, exit, wayThrough(endpoint), onSeen);
      const consuming = { judging, records, events, clock, log, witness };
      const opening = (service: ServiceConsumer) => ({
        ...{ ...finding(), account },
        session: {
          ...{ network, ledger: payer, service, signer: address, clock, log },
          line: () => payer.account()?.line ?? 0n,
          signTerms: (id: Uint8Array, channel: `0x${string}`, terms: Parameters<typeof termsData>[3]) =>
            signTerms(id, address, channel, terms),
        },
      });
      const meeting = createMeeting(
        { ...{ network, discovery, consuming, opening, dialler: tunnelling.dialler }, log: log.child("meeting") },
        connectOptions,
      );
      const by = (service: ServiceConsumer, first?: ServiceConsumer) =>
        stayConnected(
          { connecting: opening(service), consuming, peers: network, beside: meeting.promised, ...(first && { first: opening(first) }) },
          connectOptions,
          stopping.signal,
        );
      const { service, proxy = defaultProxy } = connectOptions;
      checkHops(connectOptions);
      const made =
        service === "wireguard"
          ? await tunnelling.connect(connectOptions, by, meeting.meet)
          : await by(createProxyConsumer({ network, log: log.child("proxy"), clock }, { listen: proxy, stays: true }));
      connection = made;
      for (const { peer } of [made.exit, made.first()].filter((one) => one !== undefined)) requireOnline().discovery.used(peer);
      const forget = () => {
        connection = undefined;
      };
      made.ended.then(forget, forget);
      return made;
    } finally {
      connecting = false;
    }
  };

  const end = async (graceMs: number) => {
    stopping.abort();
    const part = (what: string, end: () => Promise<unknown> | undefined, withinMs = partMs) => ({ what, withinMs, end });
    const endings = [
      // in the middle of a start there is something to end only once it is there
      part("what is under way", () => Promise.allSettled(underWay)),
      part("the connection", () => connection?.ended.catch(() => undefined), sessionMs),
      part("serving", () => providing?.serving.stop(), sessionMs),
      { ...part("settling", () => (graceMs > 0 ? settler?.relieve() : undefined), graceMs), quietly: true as const },
      part("the settler", () => settler?.stop()),
      part("following the contract", () => providing?.watching.stop()),
      part("guarding against payers that cheat", () => providing?.guarding.stop()),
      part("judging", () => online?.judging.stop()),
      part("discovery", () => online?.discovery.stop()),
      part("the network", () => online?.network.stop()),
      part("the tunnel", () => options.helper?.stop()),
      part("the thread for signatures", () => signers.end()),
      part("the records", recording.idle),
      part("the database", () => store.close()),
    ];
    await endInOrder(endings, log);
  };
  let ending: Promise<void> | undefined;
  const stop = (graceMs = stopGraceMs) => {
    ending ??= end(graceMs);
    return ending;
  };
  undo.move();

  return {
    peerId,
    address,
    network: config,
    events,
    start: () => tracked(start),
    serve: (serveOptions) => tracked(() => serve(serveOptions)),
    connect: (connectOptions) => tracked(() => connect(connectOptions)),
    connection: () => connection,
    unblock: tunnelling.unblock,
    find: async (wanted) => {
      const [exit, ...others] = await findExits(finding(), wanted, wanted.signal ?? stopping.signal);
      return { matching: others.length + 1, exit: exit as ExitView };
    },
    exits: (query) => listExits(online, query, stopping.signal),
    look: (lookOptions) => lookForExits(requireOnline(), clock, lookOptions, stopping.signal),
    explain: async (peer) => requireOnline().judging.explain(peer),
    sessions: async () => records.list().map(sessionView),
    status: async () =>
      statusOf({
        ...{ config, peerId, address, startedMs, clock, chain, online, providing, connection },
        ...(options.helper && { tunnel: tunnelling.state() }),
      }),
    wallet: createWallet({
      chain,
      network: config,
      identity,
      payer,
      provider,
      handed,
      store,
      clock,
      log,
      active: () =>
        new Set(
          [...(providing?.serving.sessions() ?? []), ...(connection?.sessions().filter(({ endedMs }) => endedMs === undefined) ?? [])].map(
            ({ channel }) => channel,
          ),
        ),
      payout: () => providing?.serving.options.payout ?? address,
      retired: retiredKeys(options, { log, clock }),
      withSettler: async (use) => {
        if (settler) return use(settler);
        await using brief = openSettler(0n);
        return await use(brief);
      },
      signal: stopping.signal,
    }),
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}
