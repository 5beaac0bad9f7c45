import { isIPv4 } from "node:net";
import { z } from "zod";
import { fixedBytes } from "../../lib/codec.ts";
import { MystError } from "../../lib/errors.ts";
import type { ServiceRequest } from "../service.ts";
import { kemAnswerBytes, kemKeyBytes } from "./post-quantum.ts";
import type { WgKey } from "./types.ts";
import { isUniqueLocal } from "./unique-local.ts";

/** What the two ends tell each other while terms are agreed; docs/protocol.md describes both maps. */
const key = fixedBytes(32).refine((bytes) => bytes.some((byte) => byte !== 0), "no key");
const request = z.strictObject({
  key,
  /** the consumer's half of the preshared key */
  kem: fixedBytes(kemKeyBytes).optional(),
  /** it takes an IPv6 address; asked of who says in its offer that it has some to give */
  ipv6: z.literal(1).optional(),
});

const connection = z.strictObject({
  key,
  /** where the exit's WireGuard listens: at the IPv4 address by which its node is reached, unless `host` names another */
  port: z.int().min(1).max(65_535),
  host: z.string().refine(isIPv4).optional(),
  /** the consumer's own inside of the tunnel, and where it sends its DNS questions */
  address: z.string().refine(isIPv4),
  dns: z.string().refine(isIPv4),
  /** beside `address`, where it was asked for; a unique local one, so that it is nobody else's */
  address6: z.string().refine(isUniqueLocal).optional(),
  /** 1280 is what IPv6 needs, and reaches nearly everywhere */
  mtu: z.int().min(1280).max(1500),
  /** the exit's half, where it was asked for */
  kem: fixedBytes(kemAnswerBytes).optional(),
});

export type TunnelRequest = { publicKey: WgKey; kem?: Uint8Array; ipv6?: boolean };
export type TunnelOffer = {
  publicKey: WgKey;
  port: number;
  host?: string;
  address: string;
  address6?: string;
  dns: string;
  mtu: number;
  kem?: Uint8Array;
};

/** The part of an exit's policy line, between "; ", that says that it gives clients IPv6 addresses to who asks for one. */
export const ipv6Part = "IPv6 too";
export const givesIPv6 = (policy: string): boolean => policy.split("; ").includes(ipv6Part);

const toText = (bytes: Uint8Array): WgKey => Buffer.from(bytes).toString("base64");
const toBytes = (text: WgKey): Uint8Array => Uint8Array.from(Buffer.from(text, "base64"));

export const requestOf = ({ publicKey, kem, ipv6 }: TunnelRequest): ServiceRequest => ({
  ...{ key: toBytes(publicKey), ...(kem && { kem }), ...(ipv6 && { ipv6: 1 }) },
});

/** @throws MALFORMED for anything but a map with 32 bytes of key, and 1,184 of the half of another */
export function readRequest(raw: ServiceRequest | undefined): TunnelRequest {
  const parsed = request.safeParse(raw);
  if (!parsed.success) throw new MystError("MALFORMED", "a tunnel is asked for with a WireGuard key of 32 bytes");
  const { key: bytes, kem, ipv6 } = parsed.data;
  return { publicKey: toText(bytes), ...(kem && { kem }), ...(ipv6 && { ipv6: true }) };
}

export const connectionOf = ({ publicKey, ...rest }: TunnelOffer): ServiceRequest => ({ key: toBytes(publicKey), ...rest });

/** @throws MALFORMED */
export function readConnection(raw: ServiceRequest): TunnelOffer {
  const parsed = connection.safeParse(raw);
  if (!parsed.success) throw new MystError("MALFORMED", "the exit's answer describes no tunnel");
  const { key: bytes, host, address6, kem, ...rest } = parsed.data;
  return {
    publicKey: toText(bytes),
    ...rest,
    ...(address6 !== undefined && { address6 }),
    ...(host !== undefined && { host }),
    ...(kem && { kem }),
  };
}
