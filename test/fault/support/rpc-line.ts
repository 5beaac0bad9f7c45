import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** The way to the chain, in our hands: it can be cut, and it can be made to swallow what is asked. */
export type RpcLine = AsyncDisposable & {
  url: string;
  /** `down`: nobody listens; `silent`: what is asked is taken and never answered */
  become(state: "up" | "down" | "silent"): Promise<void>;
};

/** Forwards a port of its own at `host` to `rpc`. */
export async function startRpcLine(rpc: string, host = "127.0.0.1"): Promise<RpcLine> {
  const target = Number(new URL(rpc).port);
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  };
  const close = async () => {
    const closing = server;
    server = undefined;
    for (const socket of sockets) socket.destroy();
    if (closing) await new Promise((resolve) => closing.close(resolve));
  };
  const listen = async (onSocket: (socket: Socket) => void) => {
    server = createServer((socket) => {
      keep(socket);
      onSocket(socket);
    });
    server.listen(port, host);
    await once(server, "listening");
    port = (server.address() as { port: number }).port;
  };
  const forward = (socket: Socket) => {
    const onward = connect(target, "127.0.0.1");
    keep(onward);
    socket.pipe(onward).pipe(socket);
    socket.on("close", () => onward.destroy());
    onward.on("close", () => socket.destroy());
  };
  const become: RpcLine["become"] = async (state) => {
    await close();
    if (state === "up") await listen(forward);
    if (state === "silent") await listen((socket) => socket.resume());
  };
  await become("up");
  return { url: `http://${host}:${port}`, become, [Symbol.asyncDispose]: close };
}
