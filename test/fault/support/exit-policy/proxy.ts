import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import {
  headerCodec,
  maxReply,
  prefixed,
  prefixedReader,
  replyCodec,
  sessionBytes,
  streamProtocol,
} from "../../../../src/services/proxy/protocol.ts";
import { createResolve } from "../../../../src/services/proxy/resolve.ts";
import { socksConnect } from "../../../../src/services/proxy/socks-client.ts";
import { startPeer } from "../../../net/support.ts";
import { startNameServer } from "../../../support/name-server.ts";
import { proxyRig } from "../../../support/proxy-rig.ts";
import { associate, type DatagramClient, startUdp } from "../../../support/socks-datagrams.ts";
import type { PolicyFound, PolicyOptions } from "./found.ts";
import { mailPorts, publicHosts, startTraps } from "./traps.ts";
import { attackersRecords, kinds, newTry, type Try } from "./tries.ts";

export const ways = ["socks", "connect", "get", "datagram"] as const;
export type Way = (typeof ways)[number];

const batch = 40;
const quietMs = 150;
const controlTries = 20;
const arrivalMs = 20;
/** everything, and the mail ports, which only a rule of their own opens */
const policyOff = [
  "0.0.0.0/0",
  "::/0",
  ...Object.values(publicHosts).flatMap((host) => mailPorts.map((port) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`))),
];

/** An exit of the proxy and its consumer over libp2p, everywhere around them a trap, and an attacker's name server. */
async function openGround(allow: string[]) {
  await using undo = new AsyncDisposableStack();
  const traps = undo.use(await startTraps());
  const names = undo.use(await startNameServer(attackersRecords()));
  const plain = { gossip: false, dht: false };
  const exit = undo.use(await startPeer(plain));
  const consumer = undo.use(await startPeer({ ...plain, listen: [] }));
  await consumer.network.connect(exit.network.peerId, exit.network.addresses(), AbortSignal.timeout(10_000));
  const pair = {
    ...{ consumer: consumer.network, exit: exit.network, consumerPeer: consumer.network.peerId, exitPeer: exit.network.peerId },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const rig = undo.use(await proxyRig(pair, { provider: { allow, dialTimeoutMs: 3_000 }, resolve: createResolve([names.address]) }));
  const program = undo.use(await associate(rig.handle.endpoint.socks ?? ""));
  const opened = undo.move();
  return { traps, rig, program, pair, at: rig.handle.endpoint.socks ?? "", [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
type Ground = Awaited<ReturnType<typeof openGround>>;

const written = ({ host, port }: Try) => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** Says so much to the proxy and waits for its answer. */
async function http(at: string, head: string): Promise<void> {
  const socket = connect({ port: Number(at.split(":").at(-1)), host: "127.0.0.1" });
  socket.on("error", () => undefined).write(head);
  await new Promise((resolve) => socket.once("data", resolve).once("close", resolve));
  socket.destroy();
}

/** Tries it; a connection is given a word to carry, should it stand. */
async function attempt({ at, program }: Pick<Ground, "at" | "program">, way: Way, to: Try): Promise<void> {
  if (way === "datagram") return program.send(to, "through");
  if (way === "socks") {
    const socket = await socksConnect({ ...to, socks: at }).catch(() => undefined);
    socket?.on("error", () => undefined).end("through");
    return;
  }
  const where = written(to);
  // the Host header names a place that is allowed: it decides nothing
  if (way === "connect") await http(at, `CONNECT ${where} HTTP/1.1\r\nHost: ${publicHosts.v4}\r\n\r\n`);
  else await http(at, `GET http://${where}/ HTTP/1.1\r\nHost: ${publicHosts.v4}\r\nConnection: close\r\n\r\n`);
}

/** Tries each kind in each way by turns, and looks in the traps. A name that rebinds is tried again once it has. */
async function attack(
  ground: Ground,
  { runs, log, signal }: PolicyOptions,
  onBatch: (tries: { way: Way; to: Try }[]) => void,
): Promise<void> {
  for (let done = 0; done < runs && !signal?.aborted; done += batch) {
    const tries = Array.from({ length: Math.min(batch, runs - done) }, (_, i) => {
      const way = ways[(done + i) % ways.length] ?? "socks";
      return { way, to: newTry(kinds[Math.floor((done + i) / ways.length) % kinds.length] ?? "private", way === "datagram") };
    });
    await Promise.all(tries.map(({ way, to }) => attempt(ground, way, to)));
    await Promise.all(tries.map(({ way, to }) => (to.kind === "rebinding" ? attempt(ground, way, to) : undefined)));
    // datagrams are carried in order: once this one is back, those before it have been judged
    await fence(ground.program);
    onBatch(tries);
    if (done % 1000 === 0) log(`${done} of ${runs} tries; ${ground.traps.caught.length} through`);
  }
  await wait(quietMs);
  onBatch([]);
}

let fences = 0;
/** Waits until a datagram that may pass has been there and back. */
async function fence(program: DatagramClient): Promise<void> {
  fences += 1;
  const text = `fence ${fences}`;
  const back = () => program.received.some(({ payload }) => String(payload) === text);
  for (let i = 0; i < 1_000 && !back(); i += 1) {
    if (i % 25 === 0) program.send({ host: publicHosts.v4, port: 53 }, text);
    await wait(20);
  }
  if (!back()) throw new Error("what may pass does not pass");
}

/** The policy as it is by default: nothing of it all gets through, and what may pass does. */
async function underPolicy(options: PolicyOptions, found: PolicyFound): Promise<void> {
  await using ground = await openGround([]);
  const { traps } = ground;
  await attack(ground, options, (tries) => {
    for (const { way, to } of tries) found.tried[`${to.kind}, ${way}`] = (found.tried[`${to.kind}, ${way}`] ?? 0) + 1;
    for (const arrival of traps.caught.splice(0)) {
      found.passed += 1;
      found.problems.push(`${arrival} was reached, by one of: ${tries.map(({ way, to }) => `${way} ${written(to)}`).join(", ")}`);
    }
  });
  found.reached = traps.reached();
  await spoofed(ground, found);
  await borrowed(ground, found);
}

/** Answers from elsewhere than was asked, straight at the port that the exit has sent from. */
async function spoofed({ rig, traps }: Ground, found: PolicyFound): Promise<void> {
  // from inside, from another public host, and from the one that was asked, but another port of it
  const liars = await Promise.all(["127.0.0.1", "1.1.1.1", publicHosts.v4].map((host) => startUdp(() => undefined, host)));
  await using victim = await associate(rig.handle.endpoint.socks ?? "");
  await fence(victim);
  const before = victim.received.length;
  // the exit's port is among those that are open
  const ports = udpPorts();
  if (!ports.includes(traps.asker())) found.problems.push("the exit's port was not found");
  for (const { socket } of liars) for (const port of ports) socket.send("spoofed", port, "127.0.0.1");
  await wait(quietMs);
  for (const { socket } of liars) socket.close();
  found.tried["spoofed answer"] = (found.tried["spoofed answer"] ?? 0) + liars.length * ports.length;
  const through = victim.received.length - before;
  found.passed += through;
  if (through > 0) found.problems.push(`${through} answers came through from whom nobody had asked`);
}

/** All UDP ports of this namespace. */
const udpPorts = (): number[] =>
  ["udp", "udp6"].flatMap((file) =>
    [...readFileSync(`/proc/net/${file}`, "utf8").matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4})/gm)].map(([, port = ""]) =>
      Number.parseInt(port, 16),
    ),
  );

/** Another's session, and one of nobody's. */
async function borrowed({ rig, pair, traps }: Ground, found: PolicyFound): Promise<void> {
  const other = "cd".repeat(16);
  await rig.provider.admit({ sessionId: other, peer: "somebody else" });
  const before = traps.reached();
  for (const session of [other, "ef".repeat(16)]) {
    const stream = await pair.consumer.openBytes(pair.exitPeer, streamProtocol, AbortSignal.timeout(5_000));
    await stream.write(prefixed(headerCodec, { session: sessionBytes(session), id: 1, host: publicHosts.v4, port: 80 }));
    const { code } = await prefixedReader(stream, replyCodec, maxReply).first();
    stream.abort(new Error("done"));
    found.tried["another's session"] = (found.tried["another's session"] ?? 0) + 1;
    if (code !== "session") found.problems.push(`a session that is not the peer's was used: ${code}`);
  }
  await wait(quietMs);
  found.passed += traps.reached() - before;
}

/** With the policy off the same tries arrive, each kind in each way: else that none does would say nothing. */
async function withoutPolicy({ signal }: PolicyOptions, found: PolicyFound): Promise<void> {
  await using ground = await openGround(policyOff);
  for (const kind of kinds)
    for (const way of ways) {
      const before = ground.traps.caught.length;
      const arrived = () => ground.traps.caught.length - before;
      // not every spelling can be dialled
      for (let i = 0; i < controlTries && arrived() === 0 && !signal?.aborted; i += 1) {
        const to = newTry(kind, way === "datagram");
        for (let twice = 0; twice < 2; twice += 1) await attempt(ground, way, to);
        await wait(arrivalMs);
      }
      found.seen[`${kind}, ${way}`] = arrived();
    }
}

/** In a network namespace of our own, where `becomeEverywhere` was called. */
export async function runProxyPolicy(options: PolicyOptions): Promise<PolicyFound> {
  const found: PolicyFound = { tried: {}, problems: [], passed: 0, reached: 0, seen: {} };
  await withoutPolicy(options, found);
  options.log(`with the policy off ${Object.values(found.seen).filter(Boolean).length} of ${kinds.length * ways.length} arrive`);
  await underPolicy(options, found);
  return found;
}
