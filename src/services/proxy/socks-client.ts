import { connect, type Socket } from "node:net";
import { MystError } from "../../lib/errors.ts";
import { writeAddress } from "./address.ts";
import { socksReply } from "./socks.ts";

export type SocksTarget = {
  /** a name, which the proxy resolves, or an address */
  host: string;
  port: number;
  /** the SOCKS5 server, "127.0.0.1:1080" or "[::1]:1080" */
  socks: string;
  signal?: AbortSignal;
};

const reasons: Record<number, string> = {
  [socksReply.failure]: "the proxy failed",
  [socksReply.notAllowed]: "the exit's policy does not allow it",
  [socksReply.networkUnreachable]: "its network cannot be reached",
  [socksReply.hostUnreachable]: "the host cannot be found or reached",
  [socksReply.refused]: "it refuses the connection",
  [socksReply.ttlExpired]: "it did not answer in time",
};

/**
 * Connects through a SOCKS5 proxy (RFC 1928, no authentication). The socket is the caller's; what the target has sent already is
 * still to be read from it.
 * @throws POLICY_DENIED, DESTINATION_UNREACHABLE (`meta.reply` is the proxy's code), INTERRUPTED by the signal
 */
export async function socksConnect({ host, port, socks, signal }: SocksTarget): Promise<Socket> {
  const colon = socks.lastIndexOf(":");
  const server = { host: socks.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(socks.slice(colon + 1)) };
  const socket = connect({ ...server, noDelay: true, allowHalfOpen: true });
  const interrupt = () => socket.destroy(new MystError("INTERRUPTED", "given up"));
  if (signal?.aborted) interrupt();
  signal?.addEventListener("abort", interrupt, { once: true });
  try {
    socket.write(Uint8Array.of(5, 1, 0, ...request(host, port)));
    const greeted = await take(socket, 2);
    if (greeted[0] !== 5 || greeted[1] !== 0) throw unreachable(host, port, "the proxy wants what we do not have");
    const [, reply = socksReply.failure, , type] = await take(socket, 4);
    if (reply !== socksReply.succeeded) throw unreachable(host, port, reasons[reply] ?? "the proxy refused", reply);
    const length = type === 1 ? 4 : type === 4 ? 16 : (await take(socket, 1))[0];
    await take(socket, (length ?? 0) + 2);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error instanceof MystError ? error : unreachable(host, port, "the proxy hung up", undefined, error);
  } finally {
    signal?.removeEventListener("abort", interrupt);
  }
}

function unreachable(host: string, port: number, why: string, reply?: number, cause?: unknown): MystError {
  const code = reply === socksReply.notAllowed ? "POLICY_DENIED" : "DESTINATION_UNREACHABLE";
  return new MystError(code, `no connection to ${host}:${port}: ${why}`, { meta: reply === undefined ? {} : { reply }, cause });
}

/** VER CMD RSV ATYP ADDRESS PORT */
const request = (host: string, port: number): number[] => [5, 1, 0, ...writeAddress(host, port)];

/** Exactly `length` bytes; what follows stays in the socket. */
function take(socket: Socket, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const bytes: Buffer | null = socket.read(length);
      // what a stream hands out at its end may be less
      if (bytes?.length === length) finish(() => resolve(bytes));
      else if (bytes || socket.readableEnded) onClose();
    };
    const finish = (done: () => void) => {
      socket.off("readable", look).off("close", onClose).off("end", onClose).off("error", onClose);
      done();
    };
    const onClose = (error?: unknown) => finish(() => reject(error instanceof Error ? error : (socket.errored ?? new Error("closed"))));
    socket.on("readable", look).on("close", onClose).on("end", onClose).on("error", onClose);
    look();
  });
}
