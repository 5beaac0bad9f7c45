import { isIPv4 } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { cborCodec, fixedBytes } from "../lib/codec.ts";
import type { Network } from "../network/network.ts";
import type { Place } from "./nat.ts";

/** Where is my socket seen? docs/protocol.md, "Seeing". */
export const seenProtocol = "seen/1.0.0";
export const maxSeenFrame = 128;
/** how often a greeting is sent until it is seen */
export const greetEveryMs = 500;

const wireIPv4 = z.codec(
  fixedBytes(4),
  z.custom<string>((text) => isIPv4(String(text))),
  { decode: (bytes) => bytes.join("."), encode: (address) => Uint8Array.from(address.split(".").map(Number)) },
);
const port = z.int().min(1).max(65_535);
/** a `Place` */
export const wirePlace = z.strictObject({ address: wireIPv4, port });

/** without a key: give me one */
export const seenQuestionCodec = cborCodec(z.strictObject({ key: fixedBytes(32).optional() }), maxSeenFrame);
export const greetingKeyCodec = cborCodec(z.strictObject({ key: fixedBytes(32), port }), maxSeenFrame);
export const placeCodec = cborCodec(wirePlace, maxSeenFrame);

/** A public peer that sees: at the IPv4 address at which it is connected. */
export type Observer = { peer: string; address: string };

/** Makes a WireGuard socket send a greeting: at once, and anew each time. */
export type Greet = (key: Uint8Array, to: Place) => Promise<void>;

/** Where a peer sees the socket that `greet` sends from. @throws what asking fails with, PEER_REFUSED when no greeting came there */
export async function seenBy(
  network: Pick<Network, "ask">,
  { peer, address }: Observer,
  greet: Greet,
  signal: AbortSignal,
): Promise<Place> {
  const { key, port } = greetingKeyCodec.decode(
    await network.ask(peer, seenProtocol, Uint8Array.from(seenQuestionCodec.encode({})), signal),
  );
  return greeted(network, peer, { key: Uint8Array.from(key), to: { address, port } }, greet, signal);
}

/** Greets until the peer that has given the key has seen it; where from. @throws as `seenBy` */
export async function greeted(
  network: Pick<Network, "ask">,
  peer: string,
  { key, to }: { key: Uint8Array; to: Place },
  greet: Greet,
  signal: AbortSignal,
): Promise<Place> {
  const over = new AbortController();
  const greeting = (async () => {
    while (!over.signal.aborted && !signal.aborted) {
      await greet(key, to);
      await wait(greetEveryMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  try {
    return await Promise.race([askSeen(network, peer, key, signal), greeting.then(() => new Promise<never>(() => undefined))]);
  } finally {
    over.abort();
    await greeting.catch(() => undefined);
  }
}

/** Where that peer has seen the greeting to this key. @throws as `seenBy` */
export async function askSeen(network: Pick<Network, "ask">, peer: string, key: Uint8Array, signal: AbortSignal): Promise<Place> {
  return placeCodec.decode(await network.ask(peer, seenProtocol, Uint8Array.from(seenQuestionCodec.encode({ key })), signal));
}
