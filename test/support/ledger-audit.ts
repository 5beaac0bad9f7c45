/** What was seen of one channel, somewhere, at some time. Observations stand in the order in which they were made. */
export type Observation = { signer: string; channel: string } & (
  | Content<"signed">
  /** the payer's disk: its last promise on the channel, and what is used up of it */
  | (Content<"stored"> & { consumed: bigint })
  /** the provider's disk: the best promise that it holds */
  | (Content<"held"> & { consumed: bigint; paid: bigint })
  /** what the contract was shown */
  | Content<"claimed">
  /** the provider has told the payer that it holds so much: it may never hold less */
  | { where: "acknowledged"; cumulative: bigint }
  /** a ledger of a process that lives, as its socket tells it */
  | { where: "telling"; side: "payer" | "provider"; cumulative: bigint; consumed: bigint; paid: bigint }
);
/** `signed`: told by the payer's process once it was on its disk. */
type Content<Where> = { where: Where; cumulative: bigint; total: bigint; seq: bigint };

export type Fault = {
  kind: "signed twice" | "amount fell" | "promise lost";
  text: string;
};

/**
 * Holds a history against what must hold whatever was killed when:
 * - one seq of a signer has one content, and a higher seq has higher amounts;
 * - no ledger's amounts fall, from one look to the next;
 * - the provider holds what it has acknowledged, the payer whatever anybody was shown: so the provider's best never exceeds it.
 */
export function auditHistory(history: readonly Observation[]): Fault[] {
  return [...contents(history), ...standings(history), ...losses(history)];
}

const short = (hex: string) => hex.slice(0, 10);
const promised = (history: readonly Observation[]) => history.filter((seen) => "seq" in seen);

function contents(history: readonly Observation[]): Fault[] {
  const faults: Fault[] = [];
  const bySeq = new Map<string, (typeof all)[number]>();
  const all = promised(history).sort((a, b) => (a.seq < b.seq ? -1 : a.seq > b.seq ? 1 : 0));
  for (const seen of all) {
    const key = `${seen.signer}/${seen.seq}`;
    const known = bySeq.get(key);
    if (!known) bySeq.set(key, seen);
    else if (known.channel !== seen.channel || known.cumulative !== seen.cumulative || known.total !== seen.total)
      faults.push({ kind: "signed twice", text: `seq ${seen.seq} of ${short(seen.signer)}: ${amounts(known)} and ${amounts(seen)}` });
  }
  const totals = new Map<string, bigint>();
  const cumulatives = new Map<string, bigint>();
  for (const seen of bySeq.values())
    for (const [of, key, amount, last] of [
      ["total", seen.signer, seen.total, totals],
      ["cumulative", `${seen.signer}/${seen.channel}`, seen.cumulative, cumulatives],
    ] as const) {
      const before = last.get(key);
      if (before !== undefined && amount <= before)
        faults.push({ kind: "amount fell", text: `${of} ${before}, then ${amount} with seq ${seen.seq}` });
      last.set(key, amount);
    }
  return faults;
}

const amounts = ({ channel, cumulative, total }: { channel: string; cumulative: bigint; total: bigint }) =>
  `${cumulative} of ${total} on ${short(channel)}`;

/** Amounts of one ledger, look by look. */
function standings(history: readonly Observation[]): Fault[] {
  const faults: Fault[] = [];
  const last = new Map<string, bigint>();
  for (const seen of history) {
    const side = sideOf(seen);
    if (!side) continue;
    for (const [name, amount] of Object.entries(seen)) {
      if (typeof amount !== "bigint") continue;
      const key = [side, seen.signer, seen.channel, name].join("/");
      const before = last.get(key);
      if (before !== undefined && amount < before)
        faults.push({ kind: "amount fell", text: `${name} at the ${side}: ${before}, then ${amount}` });
      last.set(key, amount);
    }
  }
  return faults;
}

function sideOf(seen: Observation): "payer" | "provider" | undefined {
  if (seen.where === "stored") return "payer";
  if (seen.where === "held") return "provider";
  return seen.where === "telling" ? seen.side : undefined;
}

function losses(history: readonly Observation[]): Fault[] {
  const faults: Fault[] = [];
  /** the most that each side has let others know of, by channel */
  const known = { payer: new Map<string, bigint>(), provider: new Map<string, bigint>() };
  for (const seen of history) {
    const key = `${seen.signer}/${seen.channel}`;
    const side = sideOf(seen);
    const most = side && known[side].get(key);
    if (side && most !== undefined && seen.cumulative < most)
      faults.push({ kind: "promise lost", text: `the ${side} has ${seen.cumulative} on ${short(seen.channel)}, ${most} was known of` });
    const raise = (of: Map<string, bigint>) => of.set(key, bigger(of.get(key), seen.cumulative));
    // whatever exists the payer has signed; what is acknowledged or claimed the provider has had
    raise(known.payer);
    if (seen.where === "acknowledged" || seen.where === "claimed") raise(known.provider);
  }
  return faults;
}

const bigger = (a: bigint | undefined, b: bigint): bigint => (a !== undefined && a > b ? a : b);

/** A promise as the payer's node tells of it; `bytes` is what its session has bought in all. */
export type Told = { signer: string; channel: string; cumulative: bigint; bytes: bigint };

/**
 * Whether `next` shows that `before` was acknowledged: a payer signs the next promise of a session only then. What a session has bought
 * rises from one promise to the next; where it does not, another session has begun (or only time was bought), which shows nothing.
 */
export const shownBy = (next: Told, before: Told | undefined): Observation[] =>
  before && before.channel === next.channel && next.bytes > before.bytes
    ? [{ where: "acknowledged", signer: before.signer, channel: before.channel, cumulative: before.cumulative }]
    : [];
