import { decode as decodeCbor, encode as encodeCbor } from "cborg";
import type { Hex } from "../../../../src/lib/codec.ts";
import type { Refusal } from "../../../../src/payments/channel.ts";
import type { ClearingDomain } from "../../../../src/payments/eip712.ts";
import { keyOf, type ProviderChannel, type ProviderLedger } from "../../../../src/payments/provider-ledger.ts";
import { type FindSigners, findSignersInline } from "../../../../src/payments/signers.ts";
import { stepProvider } from "../../../../src/session/provider.ts";
import { checkProposal } from "../../../../src/session/server.ts";
import type { ExitSeams } from "../../../support/exit-rig.ts";

/** Exits that go without one defence each: what they are told to take shows that it would be seen. */

/** One whose ledger refuses nothing for these reasons. */
export const refusing =
  (...not: Refusal[]) =>
  (ledger: ProviderLedger): ProviderLedger => {
    const taken = new Map<string, ProviderChannel>();
    return {
      ...ledger,
      channel: (ref) => taken.get(keyOf(ref)) ?? ledger.channel(ref),
      channels: () => [...ledger.channels().filter((channel) => !taken.has(keyOf(channel))), ...taken.values()],
      accept: async (offer, conditions) => {
        const decided = await ledger.accept(offer, conditions);
        if (decided.accepted || !not.includes(decided.refusal)) return decided;
        const { signer, peer, salt, promise } = offer;
        const ref = { signer, channel: promise.channel };
        const now = { ...ref, peer, salt, best: promise, cumulative: promise.cumulative, consumed: 0n, paid: 0n };
        taken.set(keyOf(ref), now);
        return { accepted: true, fresh: true };
      },
    };
  };

/** One that leaves it to its ledger whether a purchase is covered. */
export const anyPurchase: NonNullable<ExitSeams["step"]> = (state, event) => {
  if (event.type !== "purchase" || state.checking) return stepProvider(state, event);
  const { n, bought, promise } = event;
  return { state: { ...state, checking: { n, bought } }, effects: [{ type: "accept", promise, consumed: 0n }] };
};

/** One that does not mind when a proposal is refused in these words. */
export const proposals =
  (words: RegExp): NonNullable<ExitSeams["check"]> =>
  (deps, options, proposal, peer) => {
    try {
      return checkProposal(deps, options, proposal, peer);
    } catch (error) {
      const [served] = options.services;
      if (served && words.test((error as Error).message)) return served;
      throw error;
    }
  };

/** One that takes what is signed for other contracts and chains, too. */
export const signedFor =
  (...domains: ClearingDomain[]) =>
  (own: ClearingDomain): FindSigners =>
  async (promises) => {
    const [ours = [], ...others] = await Promise.all([own, ...domains].map((domain) => findSignersInline(domain)(promises)));
    return ours.map((signer, i) => knownOf(others.map((found) => found[i])) ?? signer);
  };
/** whom there may be a signature of: a digest of another domain recovers to somebody, too */
export const payers = new Set<string>();
const knownOf = (signers: (Hex | undefined)[]) => signers.find((signer) => signer !== undefined && payers.has(signer));

const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const parityBit = 1n << 255n;
const scalarOf = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
const bytesOf = (scalar: bigint) => Uint8Array.from(Buffer.from(scalar.toString(16).padStart(64, "0"), "hex"));

/** r and the other s that is right with it, the high one. In 64 bytes that leaves no room for a parity. */
export function highOf(signature: Uint8Array): Uint8Array {
  const s = scalarOf(signature.subarray(32)) & (parityBit - 1n);
  return Uint8Array.from([...signature.subarray(0, 32), ...bytesOf(order - s)]);
}

/** One that takes a high s as well: with the low one in its place, of whichever parity. */
export const highS: (own: ClearingDomain) => FindSigners = (own) => async (promises) => {
  const lowered = (parity: bigint) =>
    promises.map((promise) => {
      const s = scalarOf(promise.signature.subarray(32));
      const low = s >= parityBit && s < order ? (order - s) | parity : s;
      return { ...promise, signature: Uint8Array.from([...promise.signature.subarray(0, 32), ...bytesOf(low)]) };
    });
  const [ours = [], ...others] = await Promise.all([promises, lowered(0n), lowered(parityBit)].map(findSignersInline(own)));
  return ours.map((signer, i) => knownOf(others.map((found) => found[i])) ?? signer);
};

type Wire = Record<string, unknown>;
export const wireOf = (frame: Uint8Array): Wire => decodeCbor(frame) as Wire;
export const frameOfWire = (wire: Wire): Uint8Array => Uint8Array.from(encodeCbor(wire));

/** One whose decoder makes of every message what it can. */
export const reading =
  (mend: (wire: Wire) => Wire): NonNullable<ExitSeams["stream"]> =>
  (stream) => ({
    ...stream,
    receive: async (signal) => {
      const frame = await stream.receive(signal);
      try {
        return frame && frameOfWire(mend(wireOf(frame)));
      } catch {
        return frame;
      }
    },
  });

/** 65 bytes r, s, v as the 64 that they stand for. */
export function compact(signature: unknown): unknown {
  if (!(signature instanceof Uint8Array) || signature.length === 64) return signature;
  const [r, s, v] = signature.length === 65 ? [signature.subarray(0, 32), signature.subarray(32, 64), signature[64] ?? 0] : [];
  if (!r || !s || v === undefined) return signature.subarray(0, 64);
  return Uint8Array.from([...r, ...bytesOf(scalarOf(s) | (v % 27 === 1 ? parityBit : 0n))]);
}
export const expand = (signature: Uint8Array, v: number): Uint8Array => {
  const vs = scalarOf(signature.subarray(32));
  const odd = vs >= parityBit ? 1 : 0;
  return Uint8Array.from([...signature.subarray(0, 32), ...bytesOf(vs & (parityBit - 1n)), v + odd]);
};

export const expandHigh = (signature: Uint8Array, v: number): Uint8Array => {
  const odd = scalarOf(signature.subarray(32)) >= parityBit ? 0 : 1;
  return Uint8Array.from([...highOf(signature), v + odd]);
};

/** Of every number the low bits that it should have, without leading zeros. */
export function wrapped(wire: Wire): Wire {
  const cut = (value: unknown, bytes: number) => {
    if (!(value instanceof Uint8Array)) return value;
    const low = value.subarray(Math.max(0, value.length - bytes));
    const from = low.findIndex((byte) => byte !== 0);
    return Uint8Array.from(from < 0 ? [] : low.subarray(from));
  };
  const promise = wire.promise as Wire | undefined;
  return {
    ...wire,
    ...(promise && {
      promise: { ...promise, cumulative: cut(promise.cumulative, 12), total: cut(promise.total, 12), seq: cut(promise.seq, 8) },
    }),
  };
}
