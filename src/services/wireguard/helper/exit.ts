import { MystError } from "../../../lib/errors.ts";
import { makeKeyPair } from "../backend/keys.ts";
import { quotaName } from "../plan/credit.ts";
import type { HostPlan } from "../plan/host-plan.ts";
import type { BackendKind, Credit, PeerStats, WgBackend, WgDevice, WgKey } from "../types.ts";
import { counterMs } from "../types.ts";
import { type Account, bytesOf, counted, newAccount, restarted } from "./account.ts";
import { createAddressPool } from "./address-pool.ts";
import { adjusted, type CreditState, filled, given, isLive, judgeCredit, noCredit, raised, shut, stopped, unsure } from "./credit.ts";
import type { HostPort } from "./host-port.ts";
import type { NftSession } from "./nft-session.ts";

export type ExitDeps = {
  backend: WgBackend;
  host: HostPort;
  quotas: NftSession;
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

export type ExitSettings = { ifname: string; listenPort: number; mtu: number; addresses: string[]; plan: HostPlan };

export type HelperExit = {
  publicKey: WgKey;
  listenPort: number;
  backend: BackendKind;
  admit(peer: { publicKey: WgKey; presharedKey?: WgKey }): Promise<string>;
  credit(credits: [WgKey, Credit][]): void;
  dismiss(key: WgKey): Promise<PeerStats>;
  /** whether anybody may still use what was given */
  anyLive(): boolean;
  close(): Promise<void>;
};

type Client = {
  key: WgKey;
  presharedKey?: WgKey;
  address: string;
  account: Account;
  credit: CreditState;
  endpoint?: PeerStats["endpoint"];
};

const careMs = 5000;
const restartsMax = 5;

/**
 * An exit's interface with its clients. Their credit is quotas of the firewall, which hold whatever becomes of us; here they are set from
 * WireGuard's own counts, at once when credit comes, and every `counterMs` where the two counts could have drifted apart.
 */
export async function openExit(deps: ExitDeps, settings: ExitSettings): Promise<HelperExit> {
  const { backend, host, quotas, nowMs, log } = deps;
  const { privateKey, publicKey } = makeKeyPair();
  const pool = createAddressPool(settings.addresses);
  const clients = new Map<WgKey, Client>();
  let closed = false;
  let restarting = false;
  let timer: NodeJS.Timeout | undefined;
  let syncing: Promise<void> | undefined;
  let again = false;

  const openDevice = async (port: number): Promise<WgDevice> => {
    const { ifname, mtu, plan } = settings;
    const opened = await backend.open({ ifname, privateKey, listenPort: port, mtu });
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
        return sync();
      } catch (error) {
        log("warn", `start ${attempt} of ${restartsMax} failed: ${(error as Error).message}`);
        await new Promise((done) => setTimeout(done, 100 * 2 ** attempt));
      }
    }
    if (!closed) deps.onGone(reason);
  };
  const addPeer = async ({ key, presharedKey, address, endpoint }: Client) => {
    const peer = { publicKey: key, ...(presharedKey && { presharedKey }), allowedIps: [`${address}/32`] };
    if (endpoint) await device.addPeer({ ...peer, endpoint, keepaliveS: 25 });
    await device.addPeer({ ...peer, keepaliveS: 0 });
  };

  const readCounters = async () => {
    const stats = await device.stats();
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
  };
  const judged = (verdict: "stop" | "set") =>
    [...clients.values()].filter(({ credit, account }) => judgeCredit(credit, bytesOf(account), nowMs()) === verdict);
  const setLimits = async (next: Map<Client, CreditState>) => {
    const differ = [...next].filter(([{ credit }, { quota }]) => credit.quota?.limit !== quota?.limit);
    for (const [client, { changed, quota }] of next) {
      // what was given in the meantime stays to be done
      const { totalBytes, endsAtMs } = client.credit;
      client.credit = { totalBytes, endsAtMs, changed, ...(quota && { quota }) };
    }
    try {
      await quotas.limit(new Map(differ.map(([{ address }, { quota }]) => [quotaName(address), quota?.limit ?? 0n])));
    } catch (error) {
      for (const client of next.keys()) client.credit = unsure(client.credit);
      throw error;
    }
  };

  const syncOnce = async () => {
    if (restarting || closed || clients.size === 0) return;
    const device0 = device;
    await readCounters();
    const toSet = judged("set");
    const first = new Map([...judged("stop").map((client) => [client, stopped(client.credit)] as const)]);
    for (const client of toSet) if (client.credit.quota) first.set(client, raised(client.credit));
    await setLimits(first);
    if (toSet.length === 0) return;
    const before = new Map(toSet.map((client) => [client, bytesOf(client.account)]));
    const used = await quotas.used(toSet.filter(({ credit }) => credit.quota).map(({ address }) => quotaName(address)));
    const usedOf = ({ address }: Client) => used.get(quotaName(address));
    // one that has run dry has counted more than it says; and credit that has fallen is not to be found again in an old limit
    const isOpen = (client: Client) => {
      const { quota, totalBytes } = client.credit;
      const now = usedOf(client);
      return quota !== undefined && now !== undefined && now.used < now.limit && quota.totalBytes <= totalBytes;
    };
    const empty = toSet.filter((client) => !isOpen(client));
    for (const client of empty) client.credit = shut(client.credit);
    await quotas.empty(empty.map(({ address }) => quotaName(address)));
    await readCounters();
    if (device !== device0) return;
    const second = new Map<Client, CreditState>();
    for (const client of toSet) {
      const { credit } = client;
      const now = bytesOf(client.account);
      if (judgeCredit({ ...credit, changed: true }, now, nowMs()) !== "set") continue;
      const { used: quotaUsed = 0n } = usedOf(client) ?? {};
      second.set(client, credit.quota ? adjusted(credit, credit.quota, quotaUsed, before.get(client) ?? 0n, now) : filled(credit, now));
    }
    await setLimits(second);
  };
  /** One at a time; what comes meanwhile is done right after. */
  const sync = (): Promise<void> => {
    if (syncing) {
      again = true;
      return syncing;
    }
    syncing = (async () => {
      do {
        again = false;
        try {
          await syncOnce();
        } catch (error) {
          if (!closed && !restarting) {
            log("warn", `credit could not be set: ${(error as Error).message}`);
            await repair();
          }
        }
      } while (again && !closed);
      syncing = undefined;
      schedule();
    })();
    return syncing;
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
  const schedule = () => {
    clearTimeout(timer);
    if (closed || clients.size === 0) return;
    const ends = [...clients.values()].filter(({ credit }) => credit.quota).map(({ credit }) => credit.endsAtMs - nowMs());
    timer = setTimeout(() => void sync(), Math.max(1, Math.min(counterMs, ...ends)));
  };
  const care = setInterval(() => {
    if (clients.size > 0 && !restarting) void repair();
    const addresses = pool.freed();
    if (addresses.length > 0)
      void deps.forget(addresses).catch((error) => log("warn", `old connections are not forgotten: ${error.message}`));
  }, careMs);
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
      schedule();
      return address;
    },
    credit: (credits) => {
      for (const [key, credit] of credits) {
        const client = clients.get(key);
        if (client) client.credit = given(client.credit, credit, nowMs());
      }
      void sync();
    },
    dismiss: async (key) => {
      const client = known(key);
      client.credit = { ...client.credit, totalBytes: 0n, endsAtMs: 0, changed: true };
      // closed before the address can be anybody else's
      if (client.credit.quota) await sync();
      if (syncing) await syncing;
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
    anyLive: () => [...clients.values()].some(({ credit, account }) => isLive(credit, bytesOf(account), nowMs())),
    close: async () => {
      closed = true;
      clearTimeout(timer);
      clearInterval(care);
      await syncing;
      // in this order nothing is forwarded without its rules
      await device.close();
      await host.revert();
      quotas.close();
    },
  };
}
