import { setTimeout as wait } from "node:timers/promises";
import { openRecorded, type Recorded } from "../../../support/recorded.ts";
import { close } from "./close.ts";
import { dead } from "./dead.ts";
import { frozen } from "./frozen.ts";
import { lying } from "./lying.ts";
import { reorg } from "./reorg.ts";
import { type Case, openCase, openWorld, type World } from "./rig.ts";
import { world as dearWorld, spike } from "./spike.ts";

/** Does its worst to one settlement, as variant `run` has it, and says what came out wrong. `control`: with that switched off which ought to help. */
type Fault = (one: Case, run: number, control?: boolean) => Promise<string[]>;

const faults: { kind: string; fault: Fault; world?: () => Promise<World> /** a variant whose control loses money */; control: number }[] = [
  { kind: "reorg", fault: reorg, control: 1 },
  { kind: "rpc dead", fault: dead, control: 2 },
  { kind: "rpc lying", fault: lying, control: 4 },
  { kind: "gas spike", fault: spike, world: dearWorld, control: 1 },
  { kind: "close", fault: close, control: 0 },
  { kind: "token frozen", fault: frozen, control: 0 },
];
export const kinds = faults.map(({ kind }) => kind);

export type ChainFound = {
  /** runs by kind */
  tried: Record<string, number>;
  /** what did not hold, a sentence each */
  problems: string[];
  /** what the control of each kind has lost: a run that would not see its fault proves nothing */
  controls: Record<string, string[]>;
};

/** Runs each kind so many times on a chain of its own, and its control once before. */
export async function runChain({
  runs,
  log,
  signal = new AbortController().signal,
  recorded = openRecorded(undefined, "chain"),
}: {
  runs: number;
  log(line: string): void;
  signal?: AbortSignal;
  recorded?: Recorded;
}): Promise<ChainFound> {
  const found: ChainFound = { tried: {}, problems: [], controls: {} };
  for (const { kind, fault, world = openWorld, control } of faults) {
    if (signal.aborted) break;
    let chain = await world();
    await using _ends = { [Symbol.asyncDispose]: () => chain[Symbol.asyncDispose]() };
    const tried = async (run: number, isControl: boolean) => {
      const brokeOff = (error: Error) => [`it broke off: ${error.stack ?? error}`];
      try {
        await using one = await openCase(chain);
        return await fault(one, run, isControl).catch(brokeOff);
      } catch (error) {
        return brokeOff(error as Error);
      }
    };
    const once = async (run: number, isControl: boolean): Promise<string[]> => {
      const wrong = await tried(run, isControl);
      if (wrong.length === 0 || (await chain.rig.ask("eth_getCode", chain.network.contract, "latest")) !== "0x") return wrong;
      // seen once in some 140 runs, after a reorganisation that reached nowhere near: what becomes of a market without its contract is no question
      log(`${kind}, run ${run}: anvil has lost the contract itself: the same again on another chain`);
      await chain[Symbol.asyncDispose]();
      chain = await world();
      return once(run, isControl);
    };
    const lost = await once(control, true);
    found.controls[kind] = lost;
    if (!lost.some((text) => text.startsWith("lost"))) found.problems.push(`${kind}: its control loses nothing: ${lost.join("; ")}`);
    const results = await recorded.each(kind, runs, signal, async (run) => {
      const wrong = (await once(run, false)).map((text) => `${kind}, run ${run}: ${text}`);
      for (const text of wrong) log(text);
      await wait(0);
      return wrong;
    });
    found.tried[kind] = results.length;
    found.problems.push(...results.flat());
    log(`${kind}: ${results.length} runs`);
  }
  return found;
}
