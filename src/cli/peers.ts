import type { ApiClient } from "../api/client.ts";
import { MystError } from "../lib/errors.ts";

/** `exits` shows the end of a peer id: that is enough where only one exit has it. @throws NO_MATCHING_EXIT */
export async function wholePeer(api: ApiClient, text: string): Promise<string> {
  if (text.length >= 40) return text;
  const { exits } = await api.call("exits", {});
  const peers = [...new Set(exits.map(({ peer }) => peer).filter((peer) => peer.endsWith(text)))];
  if (peers.length === 1 && peers[0] !== undefined) return peers[0];
  const why = peers.length === 0 ? `no known exit's peer id ends in '${text}'` : `${peers.length} exits' peer ids end in '${text}'`;
  throw new MystError("NO_MATCHING_EXIT", why, { hint: "give the whole peer id; 'mystnode exits --json' has it" });
}
