import { createRequire } from "node:module";
import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Hex } from "./codec.ts";

type Hasher = { init(): Hasher; update(bytes: Uint8Array): Hasher; digest(format: "binary"): Uint8Array };

const { createKeccak } = createRequire(import.meta.url)("hash-wasm/dist/keccak.umd.min.js");

/** In WebAssembly a block takes 0.5 us, in JavaScript 5. It takes a moment to load: until then, and where it cannot, JavaScript does. */
let wasm: Hasher | undefined;

/** Resolves when WebAssembly does it; nobody has to wait for that. */
const ready: Promise<void> = createKeccak(256).then((hasher: Hasher) => {
  wasm = hasher;
});
ready.catch(() => undefined);
export const keccakReady = (): Promise<void> => ready;

/** Keccak-256 as Ethereum has it: 32 bytes. */
export const keccak256 = (bytes: Uint8Array): Uint8Array => wasm?.init().update(bytes).digest("binary") ?? keccak_256(bytes);
export const keccakHex = (bytes: Uint8Array): Hex => `0x${Buffer.from(keccak256(bytes)).toString("hex")}`;
