import { once } from "node:events";
import { type Agent, createServer, type IncomingMessage, type RequestListener, request } from "node:http";
import { connect } from "node:net";
import { type Rig, readAll } from "./proxy-rig.ts";

/** where a rig's consumer speaks HTTP */
export const httpPort = (rig: Rig) => Number(rig.handle.endpoint.http?.split(":").at(-1));

/** Says something to the proxy; what it answers until it hangs up. */
export async function speak(rig: Rig, text: string): Promise<string> {
  const socket = connect({ port: httpPort(rig), host: "127.0.0.1" });
  const all = readAll(socket);
  socket.write(text);
  return String(await all);
}

export async function startWeb(listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Asked = { url: string; method?: string; headers?: Record<string, string>; body?: Buffer; agent?: Agent };
/** A request made through the proxy as programs with http_proxy make it. */
export async function ask(rig: Rig, { url, method = "GET", headers = {}, body, agent }: Asked) {
  const made = request({ port: httpPort(rig), host: "127.0.0.1", method, path: url, headers, agent: agent ?? false });
  // a client may have its answer, and fail to say the rest
  made.on("error", () => undefined);
  made.end(body);
  const [answer] = (await once(made, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode, headers: answer.headers, raw: answer.rawHeaders, body: Buffer.concat(chunks) };
}
