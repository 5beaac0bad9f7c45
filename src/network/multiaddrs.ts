import { CODE_P2P, type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { MystError } from "../lib/errors.ts";
import type { KnownPeer } from "./known-peers.ts";

/** @throws BAD_VALUE for a text that is no multiaddr */
export function parseAddresses(texts: string[]): string[] {
  for (const text of texts) parse(text);
  return texts;
}

function parse(text: string): Multiaddr {
  try {
    return multiaddr(text);
  } catch (cause) {
    throw new MystError("BAD_VALUE", `'${text.slice(0, 100)}' is no multiaddr`, { hint: "write it like /ip4/127.0.0.1/tcp/4010", cause });
  }
}

const peerOf = (address: Multiaddr): string | undefined => address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value;

/**
 * Bootstrap multiaddrs, by peer.
 * @throws BAD_VALUE for one that is none or does not say whose it is
 */
export function parseBootstrap(texts: string[]): KnownPeer[] {
  const peers = new Map<string, string[]>();
  for (const text of texts) {
    const peer = peerOf(parse(text));
    if (peer === undefined)
      throw new MystError("BAD_VALUE", `'${text}' does not name its peer`, { hint: "a bootstrap address ends in /p2p/<peer id>" });
    peers.set(peer, [...(peers.get(peer) ?? []), text]);
  }
  return [...peers].map(([peer, addresses]) => ({ peer, addresses }));
}

/** What of these can be dialled to reach that peer, at most 8: addresses from others may be anything. */
export function dialable(peer: string, texts: string[]): Multiaddr[] {
  return texts.slice(0, 8).flatMap((text) => {
    try {
      const address = multiaddr(text);
      const owner = peerOf(address);
      if (owner === undefined) return [multiaddr(`${text}/p2p/${peer}`)];
      return owner === peer ? [address] : [];
    } catch {
      return [];
    }
  });
}
