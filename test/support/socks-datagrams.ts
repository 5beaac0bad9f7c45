import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { readAddress, writeAddress } from "../../src/services/proxy/address.ts";

export type Received = { host: string; port: number; payload: Buffer };

/** A program that sends datagrams through a SOCKS5 proxy (RFC 1928, 7). */
export type DatagramClient = AsyncDisposable & {
  /** where the proxy takes them */
  port: number;
  send(to: { host?: string; port: number }, payload: Uint8Array | string, fragment?: number): void;
  /** all that has come, in order */
  received: Received[];
  /** The next one. @throws after `ms` */
  next(ms?: number): Promise<Received>;
  /** the association is over on the proxy's side */
  ended: Promise<void>;
  end(): void;
};

export async function associate(socks: string, { port: named = 0 }: { port?: number } = {}): Promise<DatagramClient> {
  const control = connect({ port: Number(socks.split(":").at(-1)), host: "127.0.0.1" });
  control.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => control.once("close", () => resolve()));
  control.write(Uint8Array.of(5, 1, 0, 5, 3, 0, ...writeAddress("0.0.0.0", named)));
  let head = Buffer.alloc(0);
  while (head.length < 12) {
    const [more] = (await once(control, "data", { signal: AbortSignal.timeout(15_000) })) as [Buffer];
    head = Buffer.concat([head, more]);
  }
  if (head[3] !== 0) throw new Error(`the proxy answers ${head[3]}`);
  const bound = readAddress(head.subarray(5));
  if (typeof bound === "string") throw new Error("the proxy says no address");
  const udp = createSocket("udp4");
  udp.bind(named, "127.0.0.1");
  await once(udp, "listening");
  const received: Received[] = [];
  let taken = 0;
  let wake = Promise.withResolvers<void>();
  udp.on("message", (datagram) => {
    const from = readAddress(datagram.subarray(3));
    // from somebody else
    if (typeof from === "string" || datagram.length < 3 || datagram.readUIntBE(0, 3) !== 0) return;
    received.push({ host: from.host, port: from.port, payload: datagram.subarray(3 + from.length) });
    wake.resolve();
    wake = Promise.withResolvers();
  });
  const end = () => control.destroy();
  return {
    port: bound.port,
    received,
    ended,
    end,
    send: ({ host = "127.0.0.1", port }, payload, fragment = 0) =>
      udp.send([Uint8Array.of(0, 0, fragment), writeAddress(host, port), Buffer.from(payload)], bound.port, "127.0.0.1"),
    next: async (ms = 15_000) => {
      const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error("no datagram came")), ms).unref());
      while (received.length <= taken) await Promise.race([wake.promise, late]);
      taken += 1;
      return received[taken - 1] as Received;
    },
    [Symbol.asyncDispose]: async () => {
      end();
      udp.close();
      await ended;
    },
  };
}

/** A socket that answers, by default with what it got, and knows who has asked. */
export async function startUdp(answer: (payload: Buffer) => Uint8Array | undefined = (payload) => payload, host = "127.0.0.1") {
  const socket = createSocket("udp4");
  const seen: { payload: Buffer; address: string; port: number }[] = [];
  socket.on("message", (payload, { address, port }) => {
    seen.push({ payload, address, port });
    const said = answer(payload);
    if (said) socket.send(said, port, address);
  });
  socket.bind(0, host);
  await once(socket, "listening");
  return { socket, seen, port: socket.address().port, [Symbol.asyncDispose]: async () => void socket.close() };
}
