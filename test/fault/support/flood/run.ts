import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { encodeOffer } from "../../../../src/discovery/offer.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { content, networkConfig } from "../../../net/discovery/market.ts";
import { soon, startPeer, until } from "../../../net/support.ts";
import { ownTmpdir } from "../../../support/own-tmpdir.ts";
import { percentile } from "../../../support/report.ts";
import { addressOf } from "../../../support/simulation/net.ts";
import { offerOf, signedBy } from "../../../unit/discovery/offers.ts";
import { type AttackAnswer, echoProtocol, type PeersAnswer, startAttacker, startPeers } from "./peers.ts";

export type Flood = {
  /** peers in all, of which one is the victim that is measured */
  honest: number;
  attackers: number;
  /** invalid messages a second, of all attackers together, to that victim; to the others a twentieth of it each */
  perSecond: number;
  keys: "same" | "fresh";
  /** for each of the two phases, without the attackers and with them */
  phaseMs: number;
  /** how long is waited for what is late: messages, and that attackers are hung up on */
  lateMs: number;
  /** for the control: nothing is held against anybody */
  isDefended: boolean;
  /** each is at an address of its own, for which `takeAddresses` was called; or else all are on loopback */
  apart?: boolean;
};

export type Flooded = {
  /** of the honest messages said while attackers were there, by all that should have heard them */
  delivery: number;
  messages: number;
  /** invalid messages that attackers' connections took */
  sent: number;
  sentPerSecond: number;
  requestMs: { unloadedP99: number; floodedP99: number; count: number };
  /** the longest time from the first message of an attacker to the end of its connection; Infinity: one is still there */
  heldMs: number;
  attackersBanned: number;
  /** under which attackers got in */
  keys: number;
  /** times that one came back and was turned away */
  refused: number;
  honestBanned: number;
  victimCores: number;
};

const askEveryMs = 20;
const sayEveryMs = 200;
/** connections of one attacker to the victim, where each is made with a key of its own: so that one is there while another is made */
const lanes = 6;

/** A signed offer of an exit that nobody has heard of. */
function freshOffer(): { peer: string; bytes: Uint8Array } {
  const owner = createIdentity(randomBytes(32));
  const nowMs = Date.now();
  const change = { ...content("US"), seq: BigInt(nowMs), expiresMs: nowMs + 600_000 };
  return { peer: owner.peerId, bytes: encodeOffer(signedBy(owner, { ...offerOf(owner), ...change }, networkConfig)) };
}

/** Honest peers talk by gossip and one of them is asked questions: first among themselves, then with attackers among them. */
export async function runFlood(options: Flood, signal: AbortSignal, log: (line: string) => void): Promise<Flooded> {
  await using stack = new AsyncDisposableStack();
  stack.use(ownTmpdir("flood"));
  const victims = stack.use(startPeers());
  const others = stack.use(startPeers());
  const { isDefended } = options;
  const ipOf = (index: number) => (options.apart ? addressOf(index) : undefined);
  const [victim] = (await victims.ask({ type: "start", ips: [ipOf(0)], bootstrap: [], isDefended })).peers;
  if (!victim) throw new Error("no victim");
  const ips = Array.from({ length: options.honest - 1 }, (_, at) => ipOf(at + 1));
  const rest = (await others.ask({ type: "start", ips, bootstrap: [victim.address], isDefended })).peers;
  const client = stack.use(await startPeer({ listen: [], gossip: false, dht: false, bootstrap: [victim.address] }));
  const look = async (): Promise<PeersAnswer["peers"]> => [
    ...(await victims.ask({ type: "look" })).peers,
    ...(await others.ask({ type: "look" })).peers,
  ];
  await until("all are connected", async () => (await look()).every(({ connected }) => connected.length > 0), 60_000);
  // until gossip has its neighbours
  await until("all hear each other", async () => {
    const probe = freshOffer();
    await others.ask({ type: "publish", from: 0, bytes: probe.bytes });
    await wait(1_000);
    return (await look()).filter(({ heard }) => heard.includes(probe.peer)).length >= options.honest - 1;
  });
  log(`${options.honest} honest peers are up`);

  /** Asks and says for so long; how long answers took, and what was said by whom. */
  const phase = async () => {
    const took: number[] = [];
    const said: { peer: string; from: string }[] = [];
    const end = performance.now() + options.phaseMs;
    const asking = async () => {
      while (performance.now() < end && !signal.aborted) {
        const beganMs = performance.now();
        const answer = await client.network.ask(victim.peer, echoProtocol, Uint8Array.of(1), soon()).catch(() => undefined);
        took.push(answer ? performance.now() - beganMs : Number.POSITIVE_INFINITY);
        await wait(askEveryMs);
      }
    };
    const saying = async () => {
      for (let at = 0; performance.now() < end && !signal.aborted; at++) {
        const { peer, bytes } = freshOffer();
        const from = at % (rest.length + 1);
        await (from === 0 ? victims : others).ask({ type: "publish", from: Math.max(0, from - 1), bytes });
        said.push({ peer, from: from === 0 ? victim.peer : (rest[from - 1]?.peer ?? "") });
        await wait(sayEveryMs);
      }
    };
    await Promise.all([asking(), saying()]);
    return { took, said };
  };
  const unloaded = await phase();
  const cpuBefore = (await victims.ask({ type: "look" })).cpuMs;
  const beganMs = performance.now();
  const attackers = Array.from({ length: options.attackers }, () => stack.use(startAttacker()));
  const perSecond = options.perSecond / options.attackers;
  const aims = [
    ...Array.from({ length: options.keys === "fresh" ? lanes : 1 }, () => ({ address: victim.address, perSecond })),
    ...rest.map(({ address }) => ({ address, perSecond: perSecond / 20 })),
  ];
  for (const [at, attacker] of attackers.entries()) await attacker.ask({ type: "start", aims, keys: options.keys, ip: ipOf(20_000 + at) });
  const flooded = await phase();
  const { cpuMs } = await victims.ask({ type: "look" });
  const ms = performance.now() - beganMs;
  for (const attacker of attackers) await attacker.ask({ type: "stop" });
  await wait(options.lateMs);
  const attacks: AttackAnswer[] = [];
  for (const attacker of attackers) attacks.push(await attacker.ask({ type: "end" }));
  const peers = await look();

  const due = flooded.said.flatMap(({ peer, from }) => peers.filter((one) => one.peer !== from).map(({ heard }) => heard.includes(peer)));
  const sent = attacks.reduce((sum, attack) => sum + attack.sent, 0);
  const bad = attacks.flatMap((attack) => attack.attackers);
  const banned = new Set(peers.flatMap((one) => one.banned.map(({ peer }) => peer)));
  const reached = bad.filter(({ heldMs }) => heldMs.length > 0);
  return {
    delivery: due.filter(Boolean).length / due.length,
    messages: due.length,
    sent,
    sentPerSecond: (1000 * sent) / ms,
    requestMs: { unloadedP99: percentile(unloaded.took, 0.99), floodedP99: percentile(flooded.took, 0.99), count: flooded.took.length },
    heldMs: Math.max(...reached.flatMap(({ heldMs }) => heldMs.map((held) => held ?? Number.POSITIVE_INFINITY))),
    attackersBanned: reached.filter(({ peer }) => banned.has(peer)).length / reached.length,
    keys: reached.length,
    refused: bad.reduce((sum, { refused }) => sum + refused, 0),
    honestBanned: peers.filter(({ peer }) => banned.has(peer)).length + Number(banned.has(client.network.peerId)),
    victimCores: (cpuMs - cpuBefore) / ms,
  };
}
