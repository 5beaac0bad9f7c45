import { setTimeout as wait } from "node:timers/promises";
import type { Hex } from "../../../../src/lib/codec.ts";
import { clearingDomain } from "../../../../src/payments/eip712.ts";
import { channelId, newSalt, signPromise } from "../../../../src/payments/promise.ts";
import type { Claim } from "../../../../src/payments/settlement.ts";
import { type Person, type Rig, startRig } from "../../../chain/rig.ts";
import type { Recorded } from "../../../support/recorded.ts";
import { bond, deposit, type Exit, type Market, openDrainMarket } from "./market.ts";

/** What a cheat does; it signs by itself, and keeps no ledger. */
export const plans = ["all at once", "all at once, patiently", "a little everywhere", "a little everywhere, then idle"] as const;
export type Plan = (typeof plans)[number];

export type Drained = {
  /** in thousandths of the bond: promised to exits and not paid to them */
  gain: number;
  /** burned of the bond */
  lost: number;
  /** of the exits, those that know that it lies, ten seconds later */
  found: number;
  /** what came out wrong, beside what it gains */
  problems: string[];
};

const exitCount = 20;
const thousandths = (amount: bigint): number => Number((amount * 1_000n) / bond);

/** A payer with a deposit and a key, and no scruples. */
function cheatOf(rig: Rig, payer: Person, { exits }: Market) {
  const domain = clearingDomain(rig.network);
  const channels = new Map(exits.map((exit) => [exit, { salt: newSalt(), promised: 0n }]));
  let seq = 0n;
  const sign = (channel: Hex, cumulative: bigint, total: bigint) => {
    const now = BigInt(Date.now()) << 20n;
    seq = now > seq ? now : seq + 1n;
    return signPromise(domain, payer.identity, { channel, cumulative, total, seq });
  };
  const sum = () => [...channels.values()].reduce((all, { promised }) => all + promised, 0n);
  const offer = async (exit: Exit, cumulative: bigint, total: bigint, patiently = false): Promise<boolean> => {
    const mine = channels.get(exit) as { salt: Uint8Array; promised: bigint };
    const promise = sign(channelId(exit.person.address, mine.salt), cumulative, total);
    const { address: signer, identity } = payer;
    const isTaken = await exit.take({ signer, peer: identity.peerId, salt: mine.salt, promise, consumed: 0n }, patiently);
    if (isTaken && cumulative > mine.promised) mine.promised = cumulative;
    return isTaken;
  };
  const promisedTo = (exit: Exit) => channels.get(exit)?.promised ?? 0n;
  /** As much as the exit takes now, found by halving. @param totalOf what to say that it has promised in all */
  const takeMost = async (exit: Exit, totalOf: (cumulative: bigint) => bigint) => {
    for (let step = bond / 8n; step > bond / 100_000n; step /= 2n)
      while (await offer(exit, promisedTo(exit) + step, totalOf(promisedTo(exit) + step)));
  };
  return {
    ...{ offer, takeMost, promisedTo, sum, channels },
    /** Its whole deposit, to a provider that is itself. */
    drain: async (accomplice: Person) => {
      const salt = newSalt();
      const { balance, line } = await payer.chain.account(payer.address);
      const { channel: _, ...content } = sign(channelId(accomplice.address, salt), balance, line);
      const claims: Claim[] = [{ signer: payer.address, salt, ...content }];
      const { raw } = await accomplice.chain.prepareSettle(claims, accomplice.address);
      await accomplice.chain.submit(raw, claims, AbortSignal.timeout(20_000));
    },
  };
}

type Cheat = ReturnType<typeof cheatOf>;

/** Each exit hears of its own share only, or of as much as any will believe. */
const own = (cumulative: bigint) => cumulative;
const believed = () => bond / 2n;

const attacks: Record<Plan, (cheat: Cheat, exits: Exit[]) => Promise<void>> = {
  "all at once": async (cheat, exits) => void (await Promise.all(exits.map((exit) => cheat.takeMost(exit, own)))),
  "all at once, patiently": async (cheat, exits) => {
    // what is not taken at once is taken once others have seen it, if nobody has found it out by then
    const both = async (exit: Exit) => {
      await cheat.takeMost(exit, own);
      await cheat.offer(exit, bond / 8n, bond / 8n, true);
    };
    await Promise.all(exits.map(both));
  },
  "a little everywhere": async (cheat, exits) => {
    await openly(cheat, exits);
    await Promise.all(exits.map((exit) => cheat.takeMost(exit, believed)));
  },
  "a little everywhere, then idle": async (cheat, exits) => {
    await openly(cheat, exits);
    await wait(61_000);
    await Promise.all(exits.map((exit) => cheat.takeMost(exit, believed)));
  },
};

/** Nine twentieths of the bond in true promises, as any payer might. */
async function openly(cheat: Cheat, exits: Exit[]): Promise<void> {
  const part = (bond * 9n) / 20n / BigInt(exits.length);
  let total = 0n;
  await Promise.all(
    exits.map((exit) => {
      total += part;
      return cheat.offer(exit, part, total, true);
    }),
  );
}

/** One cheat against twenty exits, on a chain of its own. */
export async function drainOnce(plan: Plan, minded = true): Promise<Drained> {
  await using rig = await startRig();
  await using market = await openDrainMarket(rig, exitCount, minded);
  const { exits } = market;
  const payer = await rig.person(deposit + bond);
  const accomplice = await rig.person();
  await payer.chain.deposit(deposit, bond);
  const cheat = cheatOf(rig, payer, market);
  await attacks[plan](cheat, exits);
  await cheat.drain(accomplice);
  // a block for each of twenty claims at once would look as if the RPC lost its way
  await rig.ask("evm_setAutomine", false);
  await rig.ask("evm_setIntervalMining", 1);
  market.open();
  await Promise.all(exits.map(({ settler }) => settler.settleNow()));
  const knowing = () => exits.filter((exit) => exit.hasFound()).length;
  for (let tries = 0; minded && knowing() < exits.length && tries < 100; tries += 1) await wait(100);
  const promised = cheat.sum();
  let paid = 0n;
  for (const exit of exits) {
    const channel = channelId(exit.person.address, (cheat.channels.get(exit) as { salt: Uint8Array }).salt);
    paid += await payer.chain.paid(payer.address, channel);
  }
  const account = await payer.chain.account(payer.address);
  const problems = account.bond > 0n ? [`${account.bond} of its bond is left`] : [];
  if ((await accomplice.chain.balances(accomplice.address)).tokens !== deposit) problems.push("the deposit is not all out");
  return {
    gain: thousandths(promised - paid),
    lost: thousandths(bond - account.bond - paid),
    found: knowing(),
    problems,
  };
}

export type DrainOptions = { runs: number; chosen?: readonly Plan[]; log(line: string): void; signal: AbortSignal; recorded: Recorded };
export type DrainFound = {
  /** runs by plan */
  tried: Record<string, number>;
  drained: Record<string, Drained[]>;
  /** the same where exits go by nothing that others know: a run that would not see its gain proves nothing */
  controls: Record<string, Drained>;
  problems: string[];
};

/** A cheat with each plan, so many times, and once against exits without the limits. */
export async function runDrain({ runs, chosen = plans, log, signal, recorded }: DrainOptions): Promise<DrainFound> {
  const found: DrainFound = { tried: {}, drained: {}, controls: {}, problems: [] };
  const tell = (what: string, { gain, lost, found: knowing }: Drained) =>
    log(`${what}: gains ${gain / 1_000} of its bond, loses ${lost / 1_000}, found out by ${knowing} of ${exitCount}`);
  for (const plan of chosen) {
    if (signal.aborted) break;
    const drained = await recorded.each(plan, runs, signal, async () => {
      const one = await drainOnce(plan);
      tell(plan, one);
      return one;
    });
    found.tried[plan] = drained.length;
    found.drained[plan] = drained;
    for (const { gain, lost, problems, found: knowing } of drained) {
      if (gain >= lost) found.problems.push(`${plan}: gains ${gain}, loses ${lost} thousandths of the bond`);
      if (knowing < exitCount) found.problems.push(`${plan}: found out by ${knowing} only`);
      found.problems.push(...problems.map((problem) => `${plan}: ${problem}`));
    }
    const [control] = await recorded.each(`${plan}, without the limits`, 1, signal, () => drainOnce(plan, false));
    if (!control) break;
    tell(`${plan}, without the limits`, control);
    found.controls[plan] = control;
    if (control.gain <= control.lost) found.problems.push(`${plan}: without the limits it gains no more than it loses`);
  }
  return found;
}
