import "./node-version.ts";

export type { PassphraseSource } from "./identity/passphrase.ts";
export type { Clock } from "./lib/clock.ts";
export type { Hex } from "./lib/codec.ts";
export { type ErrorCode, isMystError, MystError } from "./lib/errors.ts";
export { type NetworkConfig, networkText, parseNetwork, readNetworkFile } from "./lib/network-config.ts";
export { type LogFields, type Logger, silentLogger } from "./lib/ports.ts";
export { formatAmount, GiB, hourMs, MiB, parseAmount, type Unit } from "./lib/units.ts";
export { version } from "./lib/version.ts";
export type { PeerSummary } from "./network/network.ts";
export type * from "./node/types.ts";
export { createNode } from "./node.ts";
