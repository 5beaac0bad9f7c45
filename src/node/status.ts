import type { Chain } from "../chain/chain.ts";
import type { Announcers } from "../discovery/announcers.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { version } from "../lib/version.ts";
import type { Network } from "../network/network.ts";
import type { Providing } from "./providing.ts";
import type { Connection, NodeStatus, TunnelView } from "./types.ts";
import { connectionView } from "./views.ts";

export type StatusOf = {
  config: NetworkConfig;
  peerId: string;
  address: Hex;
  startedMs: number;
  clock: Clock;
  chain: Pick<Chain, "status">;
  online:
    | { network: Pick<Network, "addresses" | "peers">; discovery: Pick<Discovery, "offers">; announcers: Pick<Announcers, "standing"> }
    | undefined;
  providing: Providing | undefined;
  connection: Connection | undefined;
  tunnel?: TunnelView;
};

/** What a node does now. */
export const statusOf = ({
  config,
  peerId,
  address,
  startedMs,
  clock,
  chain,
  online,
  providing,
  connection,
  tunnel,
}: StatusOf): NodeStatus => ({
  version,
  peer: peerId,
  address,
  network: config.name,
  uptimeMs: clock.nowMs() - startedMs,
  addresses: online?.network.addresses() ?? [],
  peers: online?.network.peers() ?? [],
  exitsKnown: online?.discovery.offers().length ?? 0,
  ...(providing && { serving: providing.serving.view(), conflicts: providing.guarding.conflicts() }),
  ...(online && providing?.serving.view().services.length && { announcing: online.announcers.standing(address) }),
  ...(tunnel && { tunnel }),
  ...(connection && { connection: connectionView(connection) }),
  chain: chain.status(),
});
