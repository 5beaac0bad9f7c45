/**
 * An exit and a consumer of the proxy over libp2p, each way through it used once. With "spawn" or "read" as argument it does what there is
 * on Linux only instead. Prints what came of it.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { startPeer } from "../net/support.ts";
import { ask, startWeb } from "./proxy-http.ts";
import { proxyRig, readAll, startTarget } from "./proxy-rig.ts";
import { associate, startUdp } from "./socks-datagrams.ts";

const [wanted] = process.argv.slice(2);
if (wanted === "spawn") execFileSync("true");
if (wanted === "read") readFileSync("/proc/self/status");

const plain = { gossip: false, dht: false };
await using exit = await startPeer(plain);
await using consumer = await startPeer({ ...plain, listen: [] });
await consumer.network.connect(exit.network.peerId, exit.network.addresses(), AbortSignal.timeout(10_000));
const ends = { consumerPeer: consumer.network.peerId, exitPeer: exit.network.peerId };
const close = async () => undefined;
await using rig = await proxyRig({ consumer: consumer.network, exit: exit.network, ...ends, [Symbol.asyncDispose]: close });

await using target = await startTarget((socket) => socket.end("by socks"));
const socket = await rig.connect({ host: "localhost", port: target.port });
const bySocks = String(await readAll(socket));
socket.end();
await using web = await startWeb((_, answer) => answer.end("by http"));
const { body } = await ask(rig, { url: `http://127.0.0.1:${web.port}/` });
await using echo = await startUdp();
await using program = await associate(rig.handle.endpoint.socks ?? "");
program.send(echo, "by datagram");
const { payload } = await program.next();
console.log(`${process.platform}: ${bySocks}, ${body}, ${payload}`);
