import { z } from "zod";
import type { Hex } from "../lib/codec.ts";
import type { AccountSummary, ChannelView, OutsideRequest, OutsideView, SentView, SettleView, WalletView } from "../node/types.ts";
import { as, decimal, hex } from "./values.ts";

const sentWhat = z.enum(["approve", "deposit", "close", "withdraw", "collect", "move", "settle"]);
const address = z.custom<Hex>((value) => /^0x[0-9a-f]{40}$/.test(String(value)), "expected an address in lower-case hex");

export const walletView = as<WalletView>()(
  z.object({
    address: hex,
    owner: hex.optional(),
    tokens: decimal,
    gas: decimal,
    deposit: decimal,
    bond: decimal,
    line: decimal,
    spent: decimal,
    promised: decimal,
    liabilities: decimal,
    unsettled: decimal,
    unsettledChannels: z.number(),
    writtenOff: decimal,
    credit: decimal,
    atRisk: z.object({ prepaid: decimal, bond: decimal, owed: decimal }),
    closeAtMs: z.number().optional(),
    retired: z.array(z.object({ signer: hex, deposit: decimal, bond: decimal, closeAtMs: z.number().optional() })).optional(),
    unfinished: z.object({ what: sentWhat, hash: hex }).optional(),
  }),
);

export const channelView = as<ChannelView>()(
  z.object({
    role: z.enum(["payer", "provider"]),
    channel: hex,
    signer: hex,
    peer: z.string(),
    cumulative: decimal,
    consumed: decimal,
    paid: decimal,
    unsettled: decimal,
    lastMs: z.number(),
    state: z.enum(["new", "active", "open", "cleared", "closing", "closed"]),
    watched: z.object({ amount: decimal, by: z.array(z.string()), untilMs: z.number() }).optional(),
  }),
);

export const accountSummary = as<AccountSummary>()(
  z.object({
    ...{ signer: hex, owner: hex, balance: decimal, bond: decimal, line: decimal },
    closeAtMs: z.number().optional(),
    retired: z.literal(true).optional(),
  }),
);
export const consentView = z.object({ signer: hex, owner: hex, consent: hex });
export const sentView = as<SentView>()(z.object({ what: sentWhat, hash: hex, again: z.literal(true).optional() }));

export const outsideView = as<OutsideView>()(
  z.object({
    owner: hex,
    signer: hex,
    chainId: z.number(),
    tokens: decimal.optional(),
    closeAtMs: z.number().optional(),
    transactions: z.array(
      z.object({ what: z.enum(["approve", "deposit", "close", "withdraw"]), chainId: z.number(), to: hex, data: hex, link: z.string() }),
    ),
  }),
);
export const settleView = as<SettleView>()(
  z.object({
    hash: hex.optional(),
    claims: z.number(),
    paid: decimal,
    settled: z.array(z.object({ hash: hex, signer: hex, channel: hex, peer: z.string(), paid: decimal })),
    left: decimal,
    short: decimal,
    collected: decimal,
    kept: decimal,
  }),
);

const consent = z.custom<Hex>((value) => /^0x[0-9a-f]{128}$/.test(String(value)), "expected 64 bytes in lower-case hex");
const signer = address.optional();
export const accountInput = z.strictObject({ signer });
export const consentInput = z.strictObject({ owner: address });
export const depositInput = z.strictObject({ amount: decimal, bond: decimal.optional(), signer, consent: consent.optional() });
export const closeInput = z.strictObject({ signer });
export const withdrawInput = z.strictObject({ signer, to: address.optional() });
export const settleInput = z.strictObject({ all: z.boolean().optional() });
export const outsideInput = as<OutsideRequest>()(
  z.strictObject({
    action: z.enum(["deposit", "close", "withdraw"]),
    signer,
    owner: address.optional(),
    amount: decimal.optional(),
    bond: decimal.optional(),
    consent: consent.optional(),
    to: address.optional(),
  }),
);
export const depositOutput = z.object({ hash: hex });
export const closeOutput = z.object({ hash: hex, closeAtMs: z.number() });
export const withdrawOutput = z.object({ hash: hex, withdrawn: decimal, credited: decimal });
