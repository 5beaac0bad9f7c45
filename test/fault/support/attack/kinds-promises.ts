import { clearingDomain, type PromiseData } from "../../../../src/payments/eip712.ts";
import { channelId, type SignedPromise } from "../../../../src/payments/promise.ts";
import type { Usage } from "../../../../src/payments/terms.ts";
import type { Random } from "../../../support/random.ts";
import type { Attack, Cheat, OpenSession } from "./cheat.ts";
import { frameOf } from "./cheat.ts";
import type { Kind } from "./kinds.ts";
import {
  anyPurchase,
  compact,
  expand,
  expandHigh,
  frameOfWire,
  highOf,
  highS,
  payers,
  reading,
  refusing,
  signedFor,
  wireOf,
  wrapped,
} from "./without.ts";

const send = (session: OpenSession, bought: Usage, promise: SignedPromise): Attack => {
  session.n += 1;
  return { on: "session", frame: frameOf({ t: "promise", n: session.n, bought, promise }) };
};
/** The next purchase, as it should be but for its promise's content. */
const altered = async (cheat: Cheat, change: (content: PromiseData, session: OpenSession) => PromiseData, random: Random) => {
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(16) + 1n);
  return send(session, bought, cheat.sign(change(promise, session)));
};
/** The next purchase, right in every way but that its signature is written or made otherwise. */
const resigned = async (cheat: Cheat, change: (promise: SignedPromise) => Uint8Array, random: Random) => {
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(16) + 1n);
  return { session, bought, promise: { ...promise, signature: change(promise) } };
};
/** The next purchase as it goes over the wire, changed there. */
const rewired = async (cheat: Cheat, random: Random, change: (wire: Record<string, unknown>, promise: Record<string, unknown>) => void) => {
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(16) + 1n);
  const wire = wireOf(send(session, bought, promise).frame);
  change(wire, wire.promise as Record<string, unknown>);
  return { on: "session", frame: frameOfWire(wire) } as const;
};

const replay: Kind["forge"] = async (cheat, random) => {
  const session = await cheat.session();
  const more = { bytes: session.bought.bytes + random.big(40) + 1_000_000n, ms: session.bought.ms };
  if (cheat.lane.earlier.length === 0 || random.int(20) === 0) await cheat.pay();
  const last = cheat.lane.last as SignedPromise;
  return random.of([
    () => send(session, more, last),
    () => send(session, { ...session.bought, ms: session.bought.ms + 1e9 + random.int(1e9) }, last),
    () => send(session, random.of([more, session.bought]), random.of(cheat.lane.earlier)),
    (): Attack => ({ on: "stream", frame: cheat.proposed() }),
    (): Attack => ({
      on: "stream",
      // money that was used up is offered once more, as if nothing had been
      frame: frameOf(cheat.proposal({ consumed: 0n, bought: { bytes: 1n << 20n, ms: 600_000 }, promise: last })),
    }),
  ])();
};

const rollback: Kind["forge"] = async (cheat, random) => {
  const session = await cheat.session();
  const last = cheat.lane.last as SignedPromise;
  const less = random.big(40) + 1n;
  const { bought, promise } = cheat.next(session, random.big(20) + 1n);
  return random.of([
    () => send(session, bought, cheat.sign({ ...promise, cumulative: last.cumulative - less })),
    () => send(session, session.bought, cheat.sign({ ...promise, cumulative: last.cumulative - less, total: last.total - less })),
    () => send(session, session.bought, cheat.sign({ ...promise, cumulative: last.cumulative, total: last.total + less })),
    () => send(session, bought, cheat.sign({ ...promise, total: last.total - less })),
    () => send(session, bought, cheat.sign({ ...promise, seq: last.seq })),
    () => send(session, bought, cheat.sign({ ...promise, seq: last.seq - less })),
    () => send(session, { bytes: session.bought.bytes - 1n - random.big(19), ms: session.bought.ms }, promise),
    () => send(session, { bytes: bought.bytes, ms: session.bought.ms - 1 - random.int(1000) }, promise),
  ])();
};

const otherChannel: Kind["forge"] = async (cheat, random) => {
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(10) + 1n);
  const other = cheat.other.last as SignedPromise;
  const rise = random.big(30);
  return random.of([
    // it covers what is bought, and is known here
    () => send(session, bought, other),
    () => send(session, bought, cheat.sign({ ...promise, channel: other.channel, cumulative: other.cumulative + rise })),
    () => send(session, bought, cheat.sign({ ...promise, channel: `0x${Buffer.from(random.bytes(32)).toString("hex")}` })),
    () => send(session, bought, cheat.sign({ ...promise, channel: channelId(cheat.payer.identity.address, cheat.lane.salt) })),
    () => send(session, bought, cheat.sign({ ...promise, channel: channelId(cheat.door.exit.address, random.bytes(12)) })),
    () => send(session, bought, { ...promise, channel: other.channel }),
    (): Attack => ({
      on: "stream",
      frame: frameOf(cheat.proposal({ salt: random.bytes(12), consumed: 0n, promise: random.of([other, promise]) })),
    }),
  ])();
};

const overdraft: Kind["forge"] = async (cheat, random) => {
  const { deposit, bond } = cheat.door;
  const most = 1n << 96n;
  const more = random.big(64) + 1n;
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(16) + 1n);
  const with_ = (over: Partial<PromiseData>) => send(session, bought, cheat.sign({ ...promise, ...over }));
  // few of those that an exit tries to clear something for, which takes it eight seconds each
  if (random.int(25) === 0)
    return random.of([
      () => with_({ cumulative: promise.cumulative + bond / 8n + more, total: promise.total + bond / 8n + more }),
      () => with_({ total: promise.total + bond / 2n + more }),
    ])();
  return random.of([
    () => with_({ total: deposit + more }),
    () => with_({ total: most - 1n - random.big(20) }),
    () => with_({ cumulative: deposit + more, total: deposit + more }),
    () => with_({ cumulative: promise.cumulative + more, total: promise.total }),
    () => with_({ cumulative: most - 1n, total: most - 1n }),
  ])();
};

const signatures: Kind["forge"] = async (cheat, random) => {
  payers.add(cheat.payer.identity.address);
  const { session, bought, promise } = await resigned(
    cheat,
    ({ signature }) => {
      const flipped = Uint8Array.from(signature);
      flipped[32] = (flipped[32] ?? 0) ^ 0x80;
      const r = signature.subarray(0, 32);
      const vs = signature.subarray(32);
      return random.of([
        () => highOf(signature),
        () => highOf(signature),
        () => flipped,
        () => Uint8Array.from([...r, ...random.bytes(32)]),
        () => Uint8Array.from([...random.bytes(32), ...vs]),
        () => Uint8Array.from([...new Uint8Array(32), ...vs]),
        () => Uint8Array.from([...r, ...new Uint8Array(32)]),
        () => new Uint8Array(64).fill(random.of([0, 255])),
      ])();
    },
    random,
  );
  return send(session, bought, promise);
};

const encodings: Kind["forge"] = (cheat, random) =>
  rewired(cheat, random, (_, promise) => {
    const signature = promise.signature as Uint8Array;
    promise.signature = random.of([
      () => expand(signature, random.of([0, 27])),
      () => expand(signature, 27),
      // and what would be the same signature there with its other s
      () => expandHigh(signature, random.of([0, 27])),
      () => Uint8Array.from([...signature, random.int(256)]),
      () => Uint8Array.from([random.int(256), ...signature]),
      () => signature.subarray(0, 63),
      () => new Uint8Array(),
      () => Uint8Array.from([...signature, ...signature]),
      () => Buffer.from(signature).toString("hex"),
      () => Array.from(signature),
    ])();
  });

const wide = (value: unknown, length: number, random: Random): Uint8Array => {
  const bytes = value as Uint8Array;
  const padding = new Uint8Array(Math.max(1, length - bytes.length));
  padding[0] = random.of([0, 1, 255]);
  return Uint8Array.from([...padding, ...bytes]);
};
const overflow: Kind["forge"] = (cheat, random) =>
  rewired(cheat, random, (wire, promise) => {
    const name = random.of(["cumulative", "total", "seq"]);
    const bought = wire.bought as Record<string, unknown>;
    const ones = (length: number) => new Uint8Array(length).fill(255);
    random.of([
      () => (promise[name] = wide(promise[name], name === "seq" ? 9 : 13, random)),
      () => (promise[name] = wide(promise[name], random.of([14, 16, 32, 64, 200]), random)),
      () => (promise[name] = ones(name === "seq" ? 8 : 12)),
      () => (promise[name] = ones(name === "seq" ? 9 : 13)),
      () => (promise[name] = random.of([5, -1, 1.5, Number.NaN, 2n ** 63n, "1", null, [1], true])),
      () => (bought.bytes = random.of([ones(8), ones(9), Uint8Array.of(0, 1), new Uint8Array(32), 12, -1, "12"])),
      () => (bought.ms = random.of([2 ** 53 - 1, 2n ** 63n, -1, 0.5, Number.POSITIVE_INFINITY, Uint8Array.of(1), "1"])),
      () => (wire.n = random.of([0, -1, 2n ** 63n, 1.5, "1", Uint8Array.of(1)])),
      () => (promise.channel = random.of([random.bytes(31), random.bytes(33), new Uint8Array()])),
      () => (wire[random.of(["extra", "T", "budget", "__proto__x"])] = random.int(10)),
      () => delete promise[random.of(["channel", "cumulative", "total", "seq", "signature"])],
    ])();
  });

const inflated: Kind["forge"] = async (cheat, random) => {
  const session = await cheat.session();
  const { bought, promise } = cheat.next(session, random.big(24) + 1n);
  const bytes = bought.bytes + random.of([11n, random.big(20) + 11n, random.big(62)]);
  return random.of([
    () => send(session, { ...bought, bytes }, promise),
    () => send(session, { ...bought, ms: bought.ms + 1e9 + random.int(1e9) }, promise),
    () => send(session, { bytes: (1n << 64n) - 1n, ms: Number.MAX_SAFE_INTEGER }, promise),
    () => send(session, { ...bought, bytes }, cheat.lane.last as SignedPromise),
  ])();
};

const elsewhere = (cheat: Cheat, random: Random, what: "chain" | "contract") => {
  const own = cheat.door.domain;
  const contract = `0x${Buffer.from(random.bytes(20)).toString("hex")}` as const;
  return clearingDomain(
    what === "chain" ? { ...own, chainId: random.of([1, own.chainId + 1, random.int(1e6) + 1e5]) } : { ...own, contract },
  );
};
const signedElsewhere =
  (what: "chain" | "contract"): Kind["forge"] =>
  async (cheat, random) => {
    const session = await cheat.session();
    const { bought, promise } = cheat.next(session, random.big(16) + 1n);
    return send(session, bought, cheat.sign(promise, { domain: elsewhere(cheat, random, what) }));
  };
const fixedElsewhere =
  (what: "chain" | "contract"): Kind["forge"] =>
  async (cheat) => {
    payers.add(cheat.payer.identity.address);
    const session = await cheat.session();
    const { bought, promise } = cheat.next(session);
    return send(session, bought, cheat.sign(promise, { domain: knownElsewhere(cheat.door.domain, what) }));
  };
const knownElsewhere = (own: { chainId: number; contract: `0x${string}` }, what: "chain" | "contract") =>
  clearingDomain(what === "chain" ? { ...own, chainId: own.chainId + 1 } : { ...own, contract: `0x${"22".repeat(20)}` });

/** What is tried within a session, on promises. */
export const promiseKinds: Kind[] = [
  { name: "replay", forge: replay, control: () => ({ step: anyPurchase, ledger: refusing("stale", "conflict", "falls") }) },
  { name: "rollback", forge: rollback, control: () => ({ step: anyPurchase, ledger: refusing("stale", "conflict", "falls") }) },
  {
    ...{ name: "other chain", forge: signedElsewhere("chain"), forgeForControl: fixedElsewhere("chain") },
    control: (domain) => ({ findSigners: signedFor(knownElsewhere(domain, "chain"))(domain) }),
  },
  {
    ...{ name: "other contract", forge: signedElsewhere("contract"), forgeForControl: fixedElsewhere("contract") },
    control: (domain) => ({ findSigners: signedFor(knownElsewhere(domain, "contract"))(domain) }),
  },
  { name: "other channel", forge: otherChannel, control: () => ({ ledger: refusing("wrong-channel") }) },
  {
    ...{ name: "overdraft", forge: overdraft },
    control: () => ({ ledger: refusing("over-line", "total-low", "over-limit", "over-bond") }),
  },
  { name: "high-s", forge: signatures, control: (domain) => ({ findSigners: highS(domain) }) },
  {
    ...{ name: "65-byte encodings", forge: encodings },
    control: () => ({
      stream: reading((wire) => {
        const promise = wire.promise as Record<string, unknown> | undefined;
        return { ...wire, ...(promise && { promise: { ...promise, signature: compact(promise.signature) } }) };
      }),
    }),
  },
  { name: "overflow", forge: overflow, control: () => ({ stream: reading(wrapped) }) },
  { name: "inflated traffic", forge: inflated, control: () => ({ step: anyPurchase }) },
  {
    name: "seq ahead",
    forge: (cheat, random) => {
      const ahead = BigInt(cheat.door.clock.nowMs() + 660_000 + random.int(1e9)) << 20n;
      return altered(cheat, (content) => ({ ...content, seq: random.of([ahead + random.big(20), (1n << 64n) - 1n]) }), random);
    },
    control: () => ({ ledger: refusing("seq-ahead") }),
  },
];
