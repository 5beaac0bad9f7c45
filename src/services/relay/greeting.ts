import { randomBytes } from "node:crypto";
import { blake2s } from "@noble/hashes/blake2.js";

/**
 * A **greeting** is a WireGuard handshake initiation that nobody answers: it shows a peer where a WireGuard socket is seen from, since it
 * comes from that very socket. It is sent to a key that was made up for it and told to nobody else; its first MAC is keyed by that key,
 * so it proves that who sends it was told. No private half exists, and nothing in it can be read.
 */
export const greetingBytes = 148;
const macAt = 116;
const macBytes = 16;
const label = Buffer.from("mac1----");

export type GreetingKey = { key: Uint8Array; macKey: Uint8Array };

/** To be told to whom it is meant for, over an authenticated connection. */
export const newGreetingKey = (): GreetingKey => greetingKey(Uint8Array.from(randomBytes(32)));

/** @param key as it was told, 32 bytes */
export const greetingKey = (key: Uint8Array): GreetingKey => ({ key, macKey: blake2s(Buffer.concat([label, key])) });

/** Has it the form of a greeting? Cheap, before any key is tried. */
export const mayBeGreeting = (datagram: Uint8Array): boolean => datagram.byteLength === greetingBytes && datagram[0] === 1;

/** Is it a greeting to this key? mac1 of the WireGuard paper, 5.4.4: Blake2s with a key and 16 bytes over all that is before it. */
export const isGreetingTo = ({ macKey }: GreetingKey, datagram: Uint8Array): boolean =>
  Buffer.compare(blake2s(datagram.subarray(0, macAt), { key: macKey, dkLen: macBytes }), datagram.subarray(macAt, macAt + macBytes)) === 0;
