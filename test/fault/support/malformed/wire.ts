import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { Stream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { type Random, randomOf } from "../../../support/random.ts";
import { startStranger } from "../stranger.ts";

const openMs = 5_000;
const perPeer = 200;
/** what is known before the node has told of itself */
const fewProtocols = 6;

/** Bytes with a length before them as one or the other protocol has it, right or wrong; or none. */
function packet(random: Random): Uint8Array {
  const bytes = random.bytes(random.int(6) === 0 ? random.int(5_000) : random.int(100));
  const length = random.int(3) === 0 ? random.int(2 ** 31) : bytes.length;
  const how = random.int(4);
  if (how === 0) return bytes;
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length);
  if (how === 1) return Uint8Array.from([...prefix, ...bytes]);
  const varint = length < 128 ? [length] : [(length & 127) | 128, (length >> 7) & 127];
  return Uint8Array.from([...varint, ...bytes]);
}

/** Says nonsense to every protocol that a node speaks, libp2p's own included. By protocol, how often. */
export async function speakNonsense(
  invite: string,
  prefix: string,
  { runs, seed, signal }: { runs: number; seed: string; signal: AbortSignal },
): Promise<Record<string, number>> {
  const random = randomOf(seed);
  const tried: Record<string, number> = {};
  let done = 0;
  while (done < runs && !signal.aborted) {
    const host = await startStranger(prefix, "/meshsub/1.1.0");
    try {
      const connection = await host.dial(multiaddr(invite), { signal: AbortSignal.timeout(openMs) });
      let protocols: string[] = [];
      for (let left = 50; left > 0 && protocols.length < fewProtocols; left--) {
        await wait(20);
        protocols = (await host.peerStore.get(connection.remotePeer)).protocols;
      }
      for (let left = Math.min(perPeer, runs - done); left > 0 && connection.status === "open"; left--) {
        const protocol = random.of(protocols);
        let stream: Stream;
        try {
          stream = await connection.newStream(protocol, { signal: AbortSignal.timeout(openMs) });
        } catch {
          break;
        }
        stream.addEventListener("message", () => undefined);
        for (let more = random.int(3); more >= 0 && stream.status === "open"; more--) stream.send(packet(random));
        if (random.int(3) === 0) stream.abort(new Error("gone"));
        else void stream.close({ signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
        tried[protocol.replace(prefix, "")] = (tried[protocol.replace(prefix, "")] ?? 0) + 1;
        done += 1;
      }
    } catch {
      // hung up on: another key
      done += 1;
    } finally {
      await host.stop();
    }
  }
  return tried;
}

/** Says nonsense to the socket of a node. @returns times that it was connected to */
export async function speakToSocket(
  path: string,
  { runs, seed, signal }: { runs: number; seed: string; signal: AbortSignal },
): Promise<number> {
  const random = randomOf(seed);
  const starts = ["GET /v1/status HTTP/1.1\r\n", "POST /v1/find HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n", "POST ", "\0", ""];
  let done = 0;
  for (; done < runs && !signal.aborted; done++)
    await new Promise<void>((resolve) => {
      const socket = connect(path);
      socket.once("close", () => resolve()).once("error", () => resolve());
      socket.once("connect", () => {
        socket.write(`${random.of(starts)}${Buffer.from(random.bytes(random.int(300))).toString("latin1")}\r\n\r\n`);
        setTimeout(() => socket.destroy(), 5);
      });
      socket.resume();
    });
  return done;
}
