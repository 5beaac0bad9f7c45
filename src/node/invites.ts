import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Network } from "../network/network.ts";

const dialMs = 5_000;

/**
 * Dials who has invited: exits, or peers to ask. One that answers is enough, for several are given because some may be gone.
 * @throws BAD_VALUE for an address that does not name its peer; what the first one failed with where none answers
 */
export async function connectInvites(network: Pick<Network, "connect">, invites: string[], signal: AbortSignal): Promise<void> {
  const peers = [...new Set(invites.map(peerOf))];
  const dials = await Promise.allSettled(
    peers.map((peer) =>
      network.connect(
        peer,
        invites.filter((invite) => peerOf(invite) === peer),
        deadline(dialMs, signal),
      ),
    ),
  );
  const [first] = dials;
  if (first?.status === "rejected" && dials.every(({ status }) => status === "rejected")) throw first.reason;
}

function peerOf(address: string): string {
  const peer = /\/p2p\/([A-Za-z0-9]+)$/.exec(address)?.[1];
  if (peer === undefined)
    throw new MystError("BAD_VALUE", "an address of a peer ends in /p2p/<peer id>", {
      hint: "copy it from 'mystnode status' of that peer",
    });
  return peer;
}
