import type { Hex } from "../../src/lib/codec.ts";
import type { Claim } from "../../src/payments/settlement.ts";
import { myst, type Person, promised, type Rig, startRig } from "../chain/rig.ts";
import type { Measurement } from "../support/report.ts";

const batch = 50;
const atOnce = 10;
/** a plain transfer of coin: what no transaction can go below */
const transferGas = 21_000;

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

const gas: Measurement = {
  about: `gas of a claim on a real chain: in a batch of ${batch} signers, on a channel that is new and on one that was settled before, and alone`,
  runs: 1,
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    await using rig = await startRig();
    const all = await payers(rig, batch, log);
    const provider = await rig.person(myst);
    const figures = { fresh: 0, repeat: 0, single: 0 };
    let done = 0;
    for (; done < runs && !signal.aborted; done += 1) {
      const first = all.map((payer) => promised(rig.network, payer, provider, 10n ** 17n + BigInt(done)));
      const again = (amount: bigint) => first.map(({ salt }, i) => promised(rig.network, all[i] as Person, provider, amount, salt));
      figures.fresh += (await settle(rig, provider, first)) / batch;
      figures.repeat += (await settle(rig, provider, again(2n * 10n ** 17n + 1n))) / batch;
      figures.single += await settle(rig, provider, again(3n * 10n ** 17n + 1n).slice(0, 1));
    }
    const of = (sum: number) => Math.round(sum / Math.max(done, 1));
    const beside = { name: "a plain transfer", value: transferGas };
    return {
      runs: done,
      failures: 0,
      figures: [
        { name: "repeatBatch50", value: of(figures.repeat), unit: "gas", better: "lower", beside },
        { name: "newBatch50", value: of(figures.fresh), unit: "gas", better: "lower", beside },
        { name: "repeatSingle", value: of(figures.single), unit: "gas", better: "lower", beside },
      ],
      tried: { claims: done * (2 * batch + 1), deposits: all.length },
    };
  },
};

export default gas;
