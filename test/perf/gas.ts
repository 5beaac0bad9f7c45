import type { Hex } from "../../src/lib/codec.ts";
import type { Claim } from "../../src/payments/settlement.ts";
import { myst, type Person, promised, type Rig, startRig } from "../chain/rig.ts";
import type { Found, Measurement, RunOptions } from "../support/report.ts";
import { plainClaims } from "./support/plain-channels.ts";

const batchSize = 50;
const atOnce = 10;
const never = new AbortController().signal;

async function payers(rig: Rig, count: number, log: (line: string) => void): Promise<Person[]> {
  const made: Person[] = [];
  while (made.length < count) {
    const some = await Promise.all(Array.from({ length: Math.min(atOnce, count - made.length) }, () => rig.person(20n * myst)));
    await Promise.all(some.map(({ chain }) => chain.deposit(10n * myst, myst)));
    made.push(...some);
    log(`${made.length} of ${count} payers have deposited`);
  }
  return made;
}

/** Gas of one settlement of these claims by the provider, as its receipt has it. */
async function settle(rig: Rig, provider: Person, claims: Claim[]): Promise<number> {
  const { raw } = await provider.chain.prepareSettle(claims, provider.address);
  const { hash, paid } = await provider.chain.submit(raw, claims, never);
  if (paid.some((amount) => amount === 0n)) throw new Error("a claim was not paid");
  const receipt = (await rig.ask("eth_getTransactionReceipt", hash)) as { gasUsed: Hex };
  return Number(receipt.gasUsed);
}

/** One settlement of `batch` new channels of as many signers, one of the same again, and one claim alone; the same on plain channels. */
export async function measureGas({
  batch,
  runs,
  log,
  signal,
}: Pick<RunOptions, "runs" | "log" | "signal"> & { batch: number }): Promise<Found> {
  await using rig = await startRig();
  const all = await payers(rig, batch, log);
  const provider = await rig.person(myst);
  const sums = { fresh: 0, repeat: 0, single: 0, plainFresh: 0, plainRepeat: 0 };
  let done = 0;
  for (; done < runs && !signal.aborted; done += 1) {
    const first = all.map((payer) => promised(rig.network, payer, provider, 10n ** 17n + BigInt(done)));
    const again = (amount: bigint) => first.map(({ salt }, i) => promised(rig.network, all[i] as Person, provider, amount, salt));
    sums.fresh += (await settle(rig, provider, first)) / batch;
    sums.repeat += (await settle(rig, provider, again(2n * 10n ** 17n + 1n))) / batch;
    sums.single += await settle(rig, provider, again(3n * 10n ** 17n + 1n).slice(0, 1));
    const plain = await plainClaims(rig);
    sums.plainFresh += plain.fresh;
    sums.plainRepeat += plain.repeat;
  }
  const of = (sum: number) => Math.round(sum / Math.max(done, 1));
  const figure = (name: string, sum: number, target: number, plain: { name: string; value: number }) =>
    ({ name, value: of(sum), unit: "gas", better: "lower", target, beside: plain }) as const;
  const plainClaim = { name: "a plain channel's claim", value: of(sums.plainRepeat) };
  const plainOpened = { name: "a plain channel's deposit and claim", value: of(sums.plainFresh) };
  return {
    runs: done,
    failures: 0,
    figures: [
      figure(`repeatBatch${batch}`, sums.repeat, 22_000, plainClaim),
      figure(`newBatch${batch}`, sums.fresh, 40_000, plainOpened),
      figure("repeatSingle", sums.single, 60_000, plainClaim),
    ],
    tried: { claims: done * (2 * batch + 1), plainClaims: 2 * done, deposits: all.length },
  };
}

const gas: Measurement = {
  about: `gas of a claim on a real chain: in a batch of ${batchSize} signers, on a channel that is new and on one that was settled before, and alone; beside an unbatched claim of a cumulative amount`,
  runs: 1,
  blocksLoop: true,
  run: (options) => measureGas({ ...options, batch: batchSize }),
};

export default gas;
