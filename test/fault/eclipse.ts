import type { Figure, Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { runRealEclipse } from "./support/eclipse/real.ts";
import { type Attack, type EclipseTried, runSimulatedEclipse } from "./support/eclipse/simulated.ts";
import { takeAddresses } from "./support/own-addresses.ts";

/** Deposits or not, in one /24 and spread. */
export const attacks: { name: string; bonded: boolean; spread: boolean }[] = [
  { name: "PoorNear", bonded: false, spread: false },
  { name: "PoorSpread", bonded: false, spread: true },
  { name: "RichNear", bonded: true, spread: false },
  { name: "RichSpread", bonded: true, spread: true },
];

export const shareOf = (tried: EclipseTried[]): number => tried.filter(({ found }) => found).length / tried.length;

const eclipse: Measurement = {
  about:
    "four Sybils for each honest peer, that know the ids in advance and start first, with deposits or not, in one /24 and spread: an honest exit is found",
  runs: 400,
  // in virtual time
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    // it begins again in there, so first of all
    const none = enterNamespaces(process.argv[1] ?? "");
    const figures: Figure[] = [];
    const tried: Record<string, number> = {};
    const size = { honest: 200, sybils: 800, exits: 40, grind: 40_000 };
    const run = (kind: string, attack: Omit<Attack, "honest" | "sybils" | "exits" | "grind">) =>
      recorded.each(kind, 1, signal, () => runSimulatedEclipse({ ...size, ...attack }, signal, (line) => log(`${kind}: ${line}`)));
    for (const { name, ...attack } of attacks) {
      const [found = []] = await run(`simulated${name}`, { ...attack, tries: Math.max(1, Math.round(runs / attacks.length)) });
      if (found.length === 0) continue;
      tried[`simulated${name}`] = found.length;
      figures.push({ name: `foundShare${name}`, value: shareOf(found), unit: "", better: "higher", target: 0.95 });
    }
    if (none) log(`no real peers: ${none}`);
    else {
      takeAddresses();
      const realSize = { honest: 20, sybils: 80, exits: 5, grind: 20_000, settleMs: 30_000 };
      const real = (kind: string, attack: Omit<Attack, "honest" | "sybils" | "exits" | "grind">) =>
        recorded.each(kind, 1, signal, () => runRealEclipse({ ...realSize, ...attack }, signal, (line) => log(`${kind}: ${line}`)));
      for (const { name, ...attack } of attacks) {
        const [found = []] = await real(`real${name}`, { ...attack, tries: Math.max(1, Math.round(runs / 40)) });
        if (found.length === 0) continue;
        tried[`real${name}`] = found.length;
        figures.push({ name: `foundShareReal${name}`, value: shareOf(found), unit: "", better: "higher", target: 0.95 });
      }
      const [realControl = []] = await real("realControl", { bonded: true, spread: true, allBootstrapsBad: true, tries: 3 });
      tried.realControl = realControl.length;
      figures.push({ name: "foundShareOfRealControl", value: shareOf(realControl), unit: "", better: "lower", target: 0.1 });
    }
    // who is told of nobody but Sybils cannot find anybody else: a row that could not see that would prove nothing
    const [control = []] = await run("control", { bonded: true, spread: true, allBootstrapsBad: true, tries: 10 });
    tried.control = control.length;
    figures.push({ name: "foundShareOfControl", value: shareOf(control), unit: "", better: "lower", target: 0.1 });
    return { runs: Object.values(tried).reduce((sum, count) => sum + count, 0), failures: 0, figures, tried };
  },
};

export default eclipse;
