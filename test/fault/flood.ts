import type { Figure, Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type Flood, type Flooded, runFlood } from "./support/flood/run.ts";
import { takeAddresses } from "./support/own-addresses.ts";

const size = { honest: 18, attackers: 2, perSecond: 5_000, phaseMs: 20_000, lateMs: 5_000 };

/** An attacker that is banned comes back as who it is, or as somebody else each time: from its own address then, which is banned as well. */
export const floods: { name: string; keys: Flood["keys"] }[] = [
  { name: "", keys: "same" },
  { name: "FreshKeys", keys: "fresh" },
];

const ratioOf = ({ requestMs }: Flooded) => requestMs.floodedP99 / requestMs.unloadedP99;

const figuresOf = (name: string, one: Flooded): Figure[] => [
  { name: `honestDelivery${name}`, value: one.delivery, unit: "", better: "higher", target: 0.99 },
  {
    ...{ name: `requestP99Ratio${name}`, value: ratioOf(one), unit: "", better: "lower", target: 3 },
    beside: { name: "unloaded, ms", value: one.requestMs.unloadedP99 },
  },
  { name: `banSeconds${name}`, value: one.heldMs / 1000, unit: "s", better: "lower", target: 5 },
  { name: `attackersBanned${name}`, value: one.attackersBanned, unit: "", better: "higher", target: 1 },
  { name: `honestBanned${name}`, value: one.honestBanned, unit: "", better: "lower", target: 0 },
  { name: `victimCores${name}`, value: one.victimCores, unit: "cores", better: "lower" },
  { name: `sentPerSecond${name}`, value: one.sentPerSecond, unit: "/s", better: "higher" },
];

const flood: Measurement = {
  about:
    "5,000 invalid gossip messages a second from a tenth of the peers, in processes of their own: the honest are heard and answered, attackers banned",
  runs: 1,
  run: async ({ runs, log, signal, recorded }) => {
    // it begins again in there, so first of all
    const none = enterNamespaces(process.argv[1] ?? "");
    if (none) log(`no fresh keys, for which each needs an address of its own: ${none}`);
    else takeAddresses();
    const apart = !none;
    const figures: Figure[] = [];
    const tried: Record<string, number> = {};
    const worst = (found: Flooded[]): Flooded => found.reduce((a, b) => (ratioOf(b) > ratioOf(a) || b.delivery < a.delivery ? b : a));
    for (const { name, keys } of none ? floods.slice(0, 1) : floods) {
      const kind = `flood${name}`;
      const found = await recorded.each(kind, runs, signal, () => runFlood({ ...size, keys, isDefended: true, apart }, signal, log));
      if (found.length === 0) continue;
      figures.push(...figuresOf(name, worst(found)));
      tried[kind] = found.reduce((sum, { sent }) => sum + sent, 0);
    }
    // with nothing held against anybody they stay, and answers come late: or nobody was flooded
    const [control] = await recorded.each("control", 1, signal, () =>
      runFlood({ ...size, keys: "same", isDefended: false, apart }, signal, log),
    );
    if (control) {
      figures.push({ name: "attackersBannedInControl", value: control.attackersBanned, unit: "", better: "lower", target: 0 });
      figures.push({ name: "sentPerSecondInControl", value: control.sentPerSecond, unit: "/s", better: "higher", target: size.perSecond });
      figures.push({ name: "requestP99RatioInControl", value: ratioOf(control), unit: "", better: "higher", target: 3 });
      figures.push({ name: "victimCoresInControl", value: control.victimCores, unit: "cores", better: "higher" });
      tried.control = control.sent;
    }
    return { runs: runs * floods.length, failures: 0, figures, tried };
  },
};

export default flood;
