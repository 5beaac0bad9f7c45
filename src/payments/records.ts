import { z } from "zod";
import { cborWriter } from "../lib/cbor-writer.ts";
import { boundedBytes, type Codec, cborCodec, fixedBytes, type Hex, wireAddress, wireUint } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { Store, Table } from "../lib/store.ts";
import { wireCheck } from "./check.ts";
import type { ClearingNetwork } from "./eip712.ts";
import { saltBytes, wireHash, wirePromise } from "./promise.ts";

/** so many times the fees of one transaction are raised at most */
export const maxRaises = 12;

/** What the ledgers keep on disk, one CBOR map per record. */
const amount = wireUint(96);
const timeMs = z.number().int().nonnegative();
const peer = z.string().max(100);
const salt = fixedBytes(saltBytes);

/** A record's fields under a version number, which its reader never sees. What else a value has, or is undefined in it, is left out. */
export function record<Shape extends z.ZodRawShape>(fields: Shape, maxBytes: number): Codec<z.output<z.ZodObject<Shape>>> {
  type Fields = z.output<z.ZodObject<Shape>>;
  const codec = cborCodec(z.strictObject({ ...fields, v: z.literal(1) }), maxBytes) as Codec<{ v: 1 }>;
  const names = Object.keys(fields) as (keyof Fields)[];
  return {
    encode: (value) => {
      const known = Object.fromEntries(names.filter((name) => value[name] !== undefined).map((name) => [name, value[name]]));
      return codec.encode({ ...known, v: 1 });
    },
    decode: (bytes) => {
      const { v: _, ...rest } = codec.decode(bytes);
      return rest as Fields;
    },
  };
}

export const signerRecord = record({ seq: wireUint(64), total: amount, standing: z.enum(["open", "closing", "restored", "behind"]) }, 200);

export const payerChannelRecord = record(
  {
    channel: wireHash,
    provider: wireAddress,
    peer,
    salt,
    cumulative: amount,
    consumed: amount,
    last: wirePromise.optional(),
    openedMs: timeMs,
  },
  1_000,
);

const providerChannel = record(
  {
    signer: wireAddress,
    channel: wireHash,
    peer,
    salt,
    best: wirePromise,
    consumed: amount,
    paid: amount,
  },
  1_000,
);
/** Written with every promise, hence by hand: 3 us instead of 12. */
export const providerChannelRecord: typeof providerChannel = {
  decode: providerChannel.decode,
  encode: ({ signer, channel, peer, salt, best, consumed, paid }) => {
    const out = cborWriter(1_000).map(8).text("v").uint(1).text("best").map(5);
    out.text("seq").amount(best.seq).text("total").amount(best.total).text("channel").hex(best.channel);
    out.text("signature").bytes(best.signature).text("cumulative").amount(best.cumulative);
    out.text("paid").amount(paid).text("peer").text(peer).text("salt").bytes(salt).text("signer").hex(signer);
    return out.text("channel").hex(channel).text("consumed").amount(consumed).done();
  },
};

export const accountRecord = record(
  {
    balance: amount,
    line: amount,
    bond: amount,
    closeAtMs: timeMs.optional(),
    owner: wireAddress,
    readAtMs: timeMs,
  },
  300,
);

const claim = z.strictObject({
  signer: wireAddress,
  salt,
  cumulative: amount,
  total: amount,
  seq: wireUint(64),
  signature: fixedBytes(64),
  check: wireCheck.extend({ provider: wireAddress }).optional(),
});
export const hexBytes = (max: number) =>
  z.codec(
    boundedBytes(max),
    z.custom<Hex>((value) => /^0x([0-9a-f]{2})*$/.test(String(value))),
    {
      decode: (bytes) => `0x${Buffer.from(bytes).toString("hex")}` as Hex,
      encode: (hex) => Uint8Array.from(Buffer.from(hex.slice(2), "hex")),
    },
  );
/** A settlement's transaction as it is on disk before it is sent. */
export const settlementRecord = record(
  {
    nonce: timeMs,
    hash: wireHash,
    raw: hexBytes(200_000),
    earlier: z.array(hexBytes(200_000)).max(maxRaises).optional(),
    claims: z.array(claim).min(1).max(50),
  },
  1_000_000,
);

/** A settlement that counts as final, until it is too old to be undone. `channels` as keyOf names them. */
export const recentSettlementRecord = record({ hash: wireHash, atMs: timeMs, channels: z.array(z.string().max(120)).max(50) }, 8_000);

/** What is given up on a channel. */
export const writeOffRecord = record({ amount, atMs: timeMs }, 100);

/** The part of the store that belongs to one key on one contract: another network or key never sees it. */
export const ledgerTable = (
  store: Pick<Store, "table">,
  kind: "payer" | "provider" | "settler" | "wallet" | "watch" | "handed",
  network: ClearingNetwork,
  self: Hex,
): Table => store.table(`${kind}/${network.chainId}/${network.contract}/${self}`);

/** Decodes what we wrote ourselves. @throws STORE_CORRUPT */
export function readRecord<T>(codec: Codec<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(Uint8Array.from(bytes));
  } catch (cause) {
    throw corrupt("a record does not have the form it was written in", cause);
  }
}

export const corrupt = (why: string, cause?: unknown): MystError =>
  new MystError("STORE_CORRUPT", `the payment ledger is damaged: ${why}`, {
    hint: "keep a copy of the data directory, then see 'mystnode doctor'; nothing is signed on a damaged ledger",
    cause,
  });
