import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { content, startTrader, type Trader } from "../../../net/discovery/market.ts";
import { answerParent } from "../../../support/forked.ts";
import type { PeersAnswer, PeersTask } from "./peers.ts";

/** All that this process has sent and received by TCP. */
const sockets = new Set<Socket>();
let over = 0;
const bytesOf = ({ bytesRead, bytesWritten }: Socket) => bytesRead + bytesWritten;
for (const channel of ["net.client.socket", "net.server.socket"])
  subscribe(channel, (message) => {
    const { socket } = message as { socket: Socket };
    sockets.add(socket);
    socket.once("close", () => {
      over += bytesOf(socket);
      sockets.delete(socket);
    });
  });

const traders: Trader[] = [];

answerParent<PeersTask, PeersAnswer>(async (task) => {
  if (task.type === "start")
    for (const country of task.countries) {
      const bootstrap =
        task.bootstrap.length > 0 ? task.bootstrap : traders.slice(0, 2).map(({ network }) => String(network.addresses()[0]));
      const { directory } = task;
      const trader = await startTrader({ bootstrap, ...(directory !== undefined && { directory, keep: true }) });
      traders.push(trader);
      if (country !== undefined) await trader.discovery.announce(content(country));
    }
  let atMs = 0;
  if (task.type === "announce") {
    atMs = Date.now();
    await traders[task.index]?.discovery.announce(content(task.country, task.perGiB));
  }
  const { user, system } = process.cpuUsage();
  return {
    atMs,
    cpuMs: (user + system) / 1000,
    bytes: over + [...sockets].reduce((sum, socket) => sum + bytesOf(socket), 0),
    peers: traders.map(({ network, discovery }) => ({
      ...{ peer: network.peerId, invite: String(network.addresses()[0]), exits: discovery.offers().length },
    })),
  };
});
