import { randomBytes } from "node:crypto";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { createLibp2p, type Libp2p } from "libp2p";
import { createIdentity } from "../../../src/identity/identity.ts";

/**
 * One that is in the network as far as being identified goes, under a key of its own, and none of ours besides. It answers to `gossip`: whoever
 * speaks that is taken for a neighbour.
 */
export async function startStranger(prefix: string, gossip: string): Promise<Libp2p> {
  const host = await createLibp2p({
    privateKey: createIdentity(randomBytes(32)).libp2pKey,
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { reconnectRetries: 0 },
    services: { identify: identify({ protocolPrefix: prefix.slice(1) }) },
  });
  await host.handle(gossip, (stream) => void stream.addEventListener("message", () => undefined));
  return host;
}
