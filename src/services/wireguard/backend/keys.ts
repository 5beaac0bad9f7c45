import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { WgKey } from "../types.ts";

/** A Curve25519 key pair in WireGuard's form, made in this process: nothing is spawned, and the private one has not been anywhere else. */
export function makeKeyPair(): { privateKey: WgKey; publicKey: WgKey } {
  const { privateKey } = generateKeyPairSync("x25519");
  const { d } = privateKey.export({ format: "jwk" });
  return { privateKey: Buffer.from(d ?? "", "base64url").toString("base64"), publicKey: publicText(privateKey) };
}

/** 32 bytes in base64, in the one spelling there is for them: two spellings of one key would be two peers to us and one to WireGuard. */
export const isKey = (text: string): boolean => {
  if (text.length !== 44) return false;
  const bytes = Buffer.from(text, "base64");
  return bytes.length === 32 && bytes.toString("base64") === text;
};

/** As the UAPI writes keys: lower-case hexadecimal. */
export const keyToHex = (key: WgKey): string => Buffer.from(key, "base64").toString("hex");
export const keyFromHex = (hex: string): WgKey => Buffer.from(hex, "hex").toString("base64");

function publicText(privateKey: KeyObject): WgKey {
  const { x } = createPublicKey(privateKey).export({ format: "jwk" });
  return Buffer.from(x ?? "", "base64url").toString("base64");
}
