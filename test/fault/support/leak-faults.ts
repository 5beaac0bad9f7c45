import { setTimeout as wait } from "node:timers/promises";
import type { TunnelState } from "../../../src/services/wireguard/types.ts";
import { until } from "../../support/until.ts";
import { type Host, processesOn, routerOf } from "../../tunnel/support/internet.ts";
import type { TunnelMarket } from "../../tunnel/support/market.ts";
import { nftHere } from "../../tunnel/support/router.ts";

/** What a fault leaves to be looked at: the state that the tunnel is to be in all the time, and whether programs are served again. */
export type Fault = {
  /** brings the consumer to where the probes are watched from; a tunnel that is up, where absent */
  enter?(market: TunnelMarket): Promise<unknown>;
  /** happens while the probes go on; what it measures, in ms */
  strike?(market: TunnelMarket): Promise<number | undefined>;
  /** the state to be seen at the beginning and at the end */
  fact?: TunnelState["fact"];
  /** afterwards the user's programs go out through the exit again */
  carriesOn?: true;
  undo?(market: TunnelMarket): Promise<unknown> | undefined;
};

const pattern = {
  tunnel: /^wireguard-go /,
  node: /mystnode\.js connect/,
  helper: /wireguard\/helper\/main/,
  exit: /mystnode\.js serve/,
};

const signalAll = (host: Host, which: RegExp, signal: NodeJS.Signals): void => {
  const found = processesOn(host).filter(({ command }) => which.test(command));
  if (found.length === 0) throw new Error(`there is nothing like ${which}`);
  for (const { pid } of found) process.kill(pid, signal);
};
const kill = (whose: "consumer" | "exit", what: keyof typeof pattern) => async (market: TunnelMarket) => {
  signalAll(market[whose].host, pattern[what], "SIGKILL");
  return undefined;
};

/** How long it takes until something on the consumer's host looks as before, ms. */
async function mended(host: Host, look: string, strike: string): Promise<number> {
  const before = host.run(look);
  host.run(strike);
  const beganMs = performance.now();
  const isBack = () => {
    try {
      return host.run(look) === before;
    } catch {
      // there is nothing to be looked at yet
      return false;
    }
  };
  await until(isBack, 10_000);
  return performance.now() - beganMs;
}

const rulesAndRoutes = "for f in -4 -6; do ip $f rule | grep 1[89]...: || true; ip $f route show table 28025 || true; done";
const dropRules =
  "for family in -4 -6; do for pref in $(ip $family rule | sed -n 's/^\\(18[12]..\\):.*/\\1/p'); do ip $family rule del pref $pref 2>/dev/null || true; done; ip $family route flush table 28025 2>/dev/null || true; done";
/** what a network may announce to who asks it for an address (TunnelVision), and a rule such as other tunnels make */
const pushed = (host: Host, to: string[]) => to.map((network) => `ip route replace ${network} via ${routerOf(host)}`).join("; ");

const otherAddress = ({ address }: Host) => address.replace(/\.2$/, ".77");
const readdress = (host: Host, from: string, to: string) =>
  void host.run(`ip addr del ${from}/24 dev eth0; ip addr add ${to}/24 dev eth0; ip route replace default via ${routerOf(host)}`);

const noHandshake = "add rule inet leak_faults forward udp dport 51820 drop";
const start = (market: TunnelMarket, fact: TunnelState["fact"]) => market.startConsumer(undefined, fact);

/** The five states of the tunnel, each held while programs send what must not leave. */
export const states: Record<string, Fault> = {
  down: {
    enter: async (market) => {
      await market.startConsumer();
      signalAll(market.consumer.host, pattern.node, "SIGKILL");
      await until(() => processesOn(market.consumer.host).every(({ command }) => !pattern.helper.test(command)), 20_000);
    },
  },
  securing: {
    fact: "securing",
    // an exit whose helper stands still admits nobody
    enter: async (market) => {
      signalAll(market.exit.host, pattern.helper, "SIGSTOP");
      await start(market, "securing");
    },
    undo: async (market) => signalAll(market.exit.host, pattern.helper, "SIGCONT"),
  },
  handshaking: {
    fact: "handshaking",
    enter: async (market) => {
      nftHere(`add table inet leak_faults\nadd chain inet leak_faults forward { type filter hook forward priority 0; }\n${noHandshake}\n`);
      await start(market, "handshaking");
    },
    undo: async () => nftHere("delete table inet leak_faults\n"),
  },
  up: { fact: "up", carriesOn: true },
  blocked: {
    fact: "blocked",
    // it is started again five times
    enter: async (market) => {
      await market.startConsumer();
      const { host, api } = market.consumer;
      const endMs = performance.now() + 30_000;
      for (let quiet = 0; quiet < 20 && performance.now() < endMs; quiet += 1) {
        const found = processesOn(host).filter(({ command }) => pattern.tunnel.test(command));
        for (const { pid } of found) process.kill(pid, "SIGKILL");
        if (found.length > 0 || (await api.call("status")).tunnel?.fact !== "blocked") quiet = 0;
        await wait(50);
      }
    },
  },
};

export const faults: Record<string, Fault> = {
  "tunnel killed": { strike: kill("consumer", "tunnel"), carriesOn: true },
  "node killed": { strike: kill("consumer", "node") },
  "helper killed": { strike: kill("consumer", "helper") },
  "exit killed": { strike: kill("exit", "exit") },
  "exit's tunnel killed": { strike: kill("exit", "tunnel"), carriesOn: true },
  "exit's helper killed": { strike: kill("exit", "helper") },
  "tables flushed": {
    strike: ({ consumer: { host } }) => mended(host, "nft -s list table inet mystnode_ks", "nft flush ruleset"),
    carriesOn: true,
  },
  "routes and rules flushed": {
    strike: ({ consumer: { host } }) => mended(host, rulesAndRoutes, dropRules),
    carriesOn: true,
  },
  "routes pushed": {
    strike: async ({ consumer: { host }, target }) => {
      host.run(`${pushed(host, ["0.0.0.0/1", "128.0.0.0/1", `${target.address}/32`, "9.9.9.9/32"])}; ip rule add pref 100 lookup main`);
      return undefined;
    },
    undo: async ({ consumer: { host }, target }) =>
      host.run(`for to in 0.0.0.0/1 128.0.0.0/1 ${target.address} 9.9.9.9; do ip route del $to; done; ip rule del pref 100`),
  },
  "address changed": {
    strike: async ({ consumer: { host } }) => {
      readdress(host, host.address, otherAddress(host));
      return undefined;
    },
    carriesOn: true,
    undo: async ({ consumer: { host } }) => readdress(host, otherAddress(host), host.address),
  },
  // all that is the consumer's stands still, and its cable has no carrier meanwhile
  resume: {
    strike: async ({ consumer: { host } }) => {
      for (const which of [pattern.node, pattern.helper, pattern.tunnel]) signalAll(host, which, "SIGSTOP");
      host.run("ip link set eth0 down");
      await wait(1_500);
      host.run(
        `ip link set eth0 up; ip -6 addr replace ${host.address6}/64 dev eth0 nodad; ip route replace default via ${routerOf(host)}; ip -6 route replace default via ${host.address6.replace(/2$/, "1")}`,
      );
      for (const which of [pattern.tunnel, pattern.helper, pattern.node]) signalAll(host, which, "SIGCONT");
      return undefined;
    },
    carriesOn: true,
  },
};
