import { MystError } from "../../../lib/errors.ts";
import { makeKeyPair } from "../backend/keys.ts";
import { type HostPlan, receiveBuffer } from "../plan/host-plan.ts";
import { address6Of } from "../plan/pool6.ts";
import type { BackendKind, Credit, Greeting, PeerStats, WgBackend, WgDevice, WgKey } from "../types.ts";
import { bytesOf, counted, newAccount, restarted } from "./account.ts";
import { createAddressPool } from "./address-pool.ts";
import { noCredit, shut } from "./credit.ts";
import type { HostPort } from "./host-port.ts";
import type { NftSession } from "./nft-session.ts";
import { type Charged, createQuotas } from "./quotas.ts";
import { createPatience, greetingPeer } from "./shaking-hands.ts";

export type ExitDeps = {
  backend: WgBackend;
  host: HostPort;
  nft: NftSession;
  /** makes the firewall forget the connections of these addresses */
  forget(addresses: string[]): Promise<void>;
  /** monotonic, in ms */
  nowMs(): number;
  log(level: "info" | "warn", message: string): void;
  /** counters that have changed */
  onCounters(changed: Map<WgKey, PeerStats>): void;
  /** the tunnel process is gone and does not come back */
  onGone(reason: string): void;
};

export type ExitSettings = {
  ifname: string;
  listenPort: number;
  mtu: number;
  addresses: string[];
  /** of clients' IPv6 addresses, where they have some */
  prefix6?: string;
  plan: HostPlan;
};

export type HelperExit = {
  publicKey: WgKey;
  listenPort: number;
  backend: BackendKind;
  admit(peer: { publicKey: WgKey; presharedKey?: WgKey }): Promise<{ address: string; address6?: string }>;
  credit(credits: [WgKey, Credit][]): void;
  dismiss(key: WgKey): Promise<PeerStats>;
  greet(greeting: Greeting): Promise<void>;
  reach(key: WgKey, place?: Greeting["endpoint"]): Promise<void>;
  /** whether anybody may still use what was given */
  anyLive(): boolean;
  close(): Promise<void>;
};

type Client = Charged & {
  key: WgKey;
  presharedKey?: WgKey;
  endpoint?: PeerStats["endpoint"];
  /** of one that is being reached: may it be sent a first packet anew? */
  mayGoOn?: ReturnType<typeof createPatience>;
};

const careMs = 5000;
const restartsMax = 5;
/** a greeting is sent once, and forgotten then */
const greetingMs = 3_000;
const greetingsMax = 64;
/** less than what NAT on the way forgets after */
const keepaliveS = 25;

/** An exit's interface with its clients. Their credit is quotas of the firewall, which hold whatever becomes of us. */
export async function openExit(deps: ExitDeps, settings: ExitSettings): Promise<HelperExit> {
  const { backend, host, nft, nowMs, log } = deps;
  const { privateKey, publicKey } = makeKeyPair();
  const pool = createAddressPool(settings.addresses);
  const clients = new Map<WgKey, Client>();
  let closed = false;
  let restarting = false;

  const openDevice = async (port: number): Promise<WgDevice> => {
    const { ifname, mtu, plan } = settings;
    const opened = await backend.open({
      ...{ ifname, privateKey, listenPort: port, mtu },
      whileBinding: (work) => host.raising(ifname, receiveBuffer, work),
    });
    try {
      // after a restart this finds the address gone with the old device, so that the plan is applied anew
      if (restarting) await host.verify();
      await host.apply(plan);
    } catch (error) {
      await host.revert().catch(() => undefined);
      await opened.close();
      throw error;
    }
    opened.onExit((reason) => {
      if (!closed && opened === device) void restart(reason);
    });
    return opened;
  };
  let device = await openDevice(settings.listenPort);
  const { listenPort } = device;

  /** The same key, port and peers; they learn of it at once, for a known endpoint is greeted. */
  const restart = async (reason: string) => {
    restarting = true;
    log("warn", `${reason}; it is started again`);
    await quotas.pause();
    for (let attempt = 1; attempt <= restartsMax && !closed; attempt += 1) {
      try {
        device = await openDevice(listenPort);
        for (const client of clients.values()) {
          // the plan made all quotas anew, and they begin with nothing
          client.account = restarted(client.account);
          client.credit = shut(client.credit);
          await addPeer(client);
        }
        restarting = false;
        log("info", "the tunnel carries again");
        return quotas.resume();
      } catch (error) {
        log("warn", `start ${attempt} of ${restartsMax} failed: ${(error as Error).message}`);
        await new Promise((done) => setTimeout(done, 100 * 2 ** attempt));
      }
    }
    if (!closed) deps.onGone(reason);
  };
  const { prefix6 } = settings;
  /** what the client of an address has of IPv6 */
  const sixth = (address: string) => (prefix6 === undefined ? [] : [address6Of(prefix6, address)]);
  const networksOf = (address: string) => [`${address}/32`, ...sixth(address).map((one) => `${one}/128`)];
  const addPeer = async ({ key, presharedKey, address, endpoint }: Client) => {
    const peer = { publicKey: key, ...(presharedKey && { presharedKey }), allowedIps: networksOf(address) };
    if (endpoint) await device.addPeer({ ...peer, endpoint, keepaliveS });
    await device.addPeer({ ...peer, keepaliveS: 0 });
  };

  const readCounters = async () => {
    const read = device;
    const stats = await read.stats(true);
    if (read !== device) return read;
    const changed = new Map<WgKey, PeerStats>();
    for (const client of clients.values()) {
      const now = stats.get(client.key);
      if (!now) continue;
      const before = client.account.total;
      client.account = counted(client.account, now);
      client.endpoint = now.endpoint ?? client.endpoint;
      const { total } = client.account;
      if (bytesOf(client.account) !== before.rxBytes + before.txBytes || total.handshakeMs !== before.handshakeMs)
        changed.set(client.key, total);
    }
    if (changed.size > 0) deps.onCounters(changed);
    return read;
  };
  /** Somebody else has emptied the firewall, perhaps. */
  const repair = async () => {
    try {
      const problems = await host.verify();
      if (problems.length === 0 || closed) return;
      await host.apply(settings.plan);
      for (const client of clients.values()) client.credit = shut(client.credit);
      log("warn", `changed by somebody else and now as it was: ${problems.join("; ")}`);
    } catch (error) {
      log("warn", `the firewall's table cannot be restored: ${(error as Error).message}`);
    }
  };
  const quotas = createQuotas({
    nft,
    nowMs,
    clients: () => [...clients.values()],
    count: readCounters,
    onFailed: async (error) => {
      log("warn", `credit could not be set: ${(error as Error).message}`);
      await repair();
    },
  });
  const care = setInterval(() => {
    if (clients.size > 0 && !restarting) void repair();
    const addresses = pool.freed();
    if (addresses.length > 0)
      void deps
        .forget(addresses.flatMap((address) => [address, ...sixth(address)]))
        .catch((error) => log("warn", `old connections are not forgotten: ${error.message}`));
  }, careMs);
  const greetings = new Map<WgKey, NodeJS.Timeout>();
  const forgetGreeting = async (key: WgKey) => {
    if (!greetings.has(key)) return;
    clearTimeout(greetings.get(key));
    greetings.delete(key);
    // after a restart it is not there
    await device.removePeer(key).catch(() => undefined);
  };
  const known = (key: WgKey): Client => {
    const client = clients.get(key);
    if (!client) throw new MystError("SESSION_UNKNOWN", "no client with that key");
    return client;
  };

  return {
    publicKey,
    listenPort,
    backend: backend.kind,
    admit: async ({ publicKey: key, presharedKey }) => {
      if (clients.has(key)) throw new MystError("PEER_REFUSED", "that key has been admitted already");
      const address = pool.take(nowMs());
      const client: Client = { key, ...(presharedKey && { presharedKey }), address, account: newAccount, credit: noCredit };
      clients.set(key, client);
      try {
        // while it restarts the peer goes in with all others
        if (!restarting) await addPeer(client);
      } catch (error) {
        clients.delete(key);
        pool.free(address, nowMs());
        throw error;
      }
      quotas.watch();
      const [address6] = sixth(address);
      return { address, ...(address6 !== undefined && { address6 }) };
    },
    credit: (credits) => {
      for (const [key, credit] of credits) {
        const client = clients.get(key);
        if (client) quotas.give(client, credit);
      }
    },
    dismiss: async (key) => {
      const client = known(key);
      client.credit = { ...client.credit, totalBytes: 0n, endsAtMs: 0, changed: true };
      // closed before the address can be anybody else's
      if (client.credit.quota) await quotas.sync();
      await quotas.settled();
      // from here on a restart of the tunnel passes it over; one that has it already takes it out again
      clients.delete(key);
      try {
        const last = await device.removePeer(key).catch((error) => {
          if (!restarting) throw error;
        });
        if (last && !restarting) client.account = counted(client.account, last);
      } finally {
        pool.free(client.address, nowMs());
      }
      return client.account.total;
    },
    greet: async (greeting) => {
      const { publicKey: key } = greeting;
      if (clients.has(key) || greetings.size >= greetingsMax) throw new MystError("PEER_REFUSED", "no such greeting can be sent");
      await forgetGreeting(key);
      const on = device;
      greetings.set(
        key,
        setTimeout(() => void forgetGreeting(key).catch(() => undefined), greetingMs),
      );
      await on.addPeer(greetingPeer(greeting));
    },
    reach: async (key, place) => {
      const { presharedKey, address } = known(key);
      const peer = { publicKey: key, ...(presharedKey && { presharedKey }), allowedIps: networksOf(address), keepaliveS };
      if (restarting) return;
      // one that comes anew shakes hands at once
      if (place) {
        const client = known(key);
        await readCounters();
        client.mayGoOn ??= createPatience();
        if (!client.mayGoOn((await device.stats()).get(key)?.rxBytes ?? 0n)) return;
        await device.removePeer(key);
        known(key).account = restarted(known(key).account);
      }
      await device.addPeer({ ...peer, ...(place && { endpoint: place }) });
    },
    anyLive: quotas.anyLive,
    close: async () => {
      closed = true;
      clearInterval(care);
      for (const timer of greetings.values()) clearTimeout(timer);
      await quotas.pause();
      // in this order nothing is forwarded without its rules
      await device.close();
      await host.revert();
      nft.close();
    },
  };
}
