import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../../../lib/errors.ts";
import type { Greeting, WgPeer } from "../types.ts";
import type { Exit } from "./client-types.ts";

const handshakeMs = 10_000;
/** whoever two NATs let through has come by then */
const punchMs = 5_000;
/** WireGuard itself waits 5 s before it tries again; one of the first packets of a punch is often lost */
const againMs = 1_000;
/** less than what NAT on the way forgets after */
const keepaliveS = 25;

/** A keepalive is also what makes it shake hands now, not with the first packet. */
export const peerOf = ({ address6, publicKey, presharedKey, endpoint }: Exit, keepalive = keepaliveS): WgPeer => ({
  ...{ publicKey, endpoint, allowedIps: ["0.0.0.0/0", ...(address6 === undefined ? [] : ["::/0"])], keepaliveS: keepalive },
  ...(presharedKey && { presharedKey }),
});

/** A peer that nothing is sent to but a handshake, at once, which it does not answer. */
export const greetingPeer = ({ publicKey, endpoint }: Greeting): WgPeer => ({ publicKey, endpoint, allowedIps: [], keepaliveS: 1 });

/** How one waits for a handshake. */
export type Shaking = {
  done(): boolean;
  /** the tunnel that was to shake hands is not there any more */
  isGone(): boolean;
  read(): Promise<void>;
  /** sends another first packet */
  again(): Promise<void>;
};

/** Until hands are shaken. @throws PEER_TIMEOUT, TUNNEL_FAILED */
export async function shakeHands({ done, isGone, read, again }: Shaking, isPunch: boolean): Promise<void> {
  const beganMs = performance.now();
  const limitMs = isPunch ? punchMs : handshakeMs;
  let sentMs = beganMs;
  while (!done()) {
    if (isGone()) throw new MystError("TUNNEL_FAILED", "the tunnel went before it was up");
    const nowMs = performance.now();
    if (nowMs - beganMs > limitMs)
      throw new MystError("PEER_TIMEOUT", `the exit did not answer WireGuard's handshake within ${limitMs / 1000} s`, {
        hint: "a firewall between the two may drop UDP; try another exit, or --service proxy",
      });
    if (isPunch && nowMs - sentMs > againMs) {
      sentMs = nowMs;
      await again();
    }
    await wait(4);
    await read();
  }
}

/**
 * When to send a first packet anew: not while what the other end has sent is being answered, or a handshake that is all but done would be lost at
 * this end, and the other would not notice for 15 s. `rxBytes`: what has come since the last one, as WireGuard counts.
 */
export function createPatience(): (rxBytes: bigint) => boolean {
  let heard = 0n;
  return (rxBytes) => {
    const isTalking = rxBytes > heard;
    heard = isTalking ? rxBytes : 0n;
    return !isTalking;
  };
}
