import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../../lib/errors.ts";
import type { Lan } from "./gateway.ts";
import type { Asking, Router, Wanted } from "./router.ts";

/** NAT-PMP, RFC 6886. */
const opAddress = 0;
const ops = { udp: 1, tcp: 2 } as const;
const answered = 128;
/** an answer's length by what was asked */
const lengths: Record<number, number> = { 0: 12, 1: 16, 2: 16 };
const results = ["done", "unsupported version", "not authorised", "it has no address itself", "out of resources", "unsupported request"];
/** it is asked again after so many times the first pause */
const pauses = [1, 2, 4, 8];

/** RFC 6886, 3.3. `leaseMs` 0 takes it back; then `outside` is 0. */
export function mapQuestion({ protocol, port, outside, leaseMs }: Wanted): Buffer {
  const question = Buffer.alloc(12);
  question.writeUInt8(ops[protocol], 1);
  question.writeUInt16BE(port, 4);
  question.writeUInt16BE(outside, 6);
  question.writeUInt32BE(Math.round(leaseMs / 1000), 8);
  return question;
}

/** What was answered to `question`. @throws MALFORMED for anything else, PEER_REFUSED for a no */
export function readAnswer(question: Uint8Array, answer: Buffer): Buffer {
  const op = question[1] ?? 0;
  const bad = () => new MystError("MALFORMED", "the router has answered what is no NAT-PMP");
  if (answer.length < 4 || answer[0] !== 0 || answer[1] !== op + answered) throw bad();
  const result = answer.readUInt16BE(2);
  if (result !== 0) throw new MystError("PEER_REFUSED", `the router maps no ports: ${results[result] ?? `result ${result}`}`);
  if (answer.length !== lengths[op]) throw bad();
  return answer;
}

/** The gateway as one that speaks NAT-PMP; whether it does shows when it is asked. */
export function openPmp({ gateway, address }: Lan, { pmp, againMs }: Asking): Router {
  const ask = async (question: Uint8Array, signal: AbortSignal): Promise<Buffer> => {
    const socket = createSocket("udp4");
    const ended = new AbortController();
    const until = AbortSignal.any([signal, ended.signal]);
    socket.on("error", () => undefined);
    try {
      socket.bind(0, address);
      await once(socket, "listening", { signal: until });
      // from then on the kernel lets in what comes from there, and nothing else
      socket.connect(pmp, gateway);
      await once(socket, "connect", { signal: until });
      const answer = once(socket, "message", { signal: until }).then(([message]) => readAnswer(question, message as Buffer));
      const asking = (async () => {
        for (const times of pauses) {
          socket.send(question);
          await wait(times * againMs, undefined, { signal: until });
        }
        throw new MystError("PEER_TIMEOUT", "the router does not answer NAT-PMP");
      })();
      asking.catch(() => undefined);
      return await Promise.race([answer, asking]);
    } finally {
      ended.abort();
      socket.close();
    }
  };
  const map: Router["map"] = async (wanted, signal) => {
    const answer = await ask(mapQuestion(wanted), signal);
    if (answer.readUInt16BE(8) !== wanted.port) throw new MystError("MALFORMED", "the router has mapped another port");
    const outside = answer.readUInt16BE(10);
    if (wanted.leaseMs > 0 && outside === 0) throw new MystError("MALFORMED", "the router has mapped no port");
    return { protocol: wanted.protocol, port: wanted.port, outside };
  };
  return {
    by: "nat-pmp",
    externalAddress: async (signal) => [...(await ask(Uint8Array.of(0, opAddress), signal)).subarray(8, 12)].join("."),
    map,
    unmap: async (mapped, signal) => void (await map({ ...mapped, outside: 0, leaseMs: 0 }, signal)),
  };
}
