import type { Figure, Measurement } from "../support/report.ts";
import { type MalformedFound, runMalformed } from "./support/malformed/run.ts";
import type { Plant } from "./support/malformed/target.ts";

/** a question may have to wait for the chain to be read */
const mostMs = 120_000;
/** a part of all runs each, so that a row that was broken off goes on */
const parts = 2;

/** What the row would see: a handler that throws where nobody catches, that never answers, that keeps what it was given. */
export const controls: { plant: Plant; runs: number; mostMs: number; isSeen(found: MalformedFound): boolean }[] = [
  { plant: "crash", runs: 200, mostMs, isSeen: ({ crashes }) => crashes > 0 },
  { plant: "hang", runs: 60, mostMs: 300, isSeen: ({ hangs }) => hangs.length > 0 },
  { plant: "leak", runs: 3_000, mostMs, isSeen: ({ growthMb }) => growthMb >= 50 },
];

const malformed: Measurement = {
  about:
    "bytes that are nearly right and bytes that are not, on every topic, protocol and socket route of a node: no crash, no hang, no growth",
  runs: 200_000,
  run: async ({ runs, log, signal, recorded }) => {
    const each = Math.ceil(runs / parts);
    const seed = String(Date.now());
    const found = await recorded.each("malformed", parts, signal, (part) =>
      runMalformed({ runs: each, mostMs, seed: `${seed}/${part}` }, signal, log),
    );
    const tried: Record<string, number> = {};
    for (const one of found) for (const [name, count] of Object.entries(one.tried)) tried[name] = (tried[name] ?? 0) + count;
    for (const line of [...new Set(found.flatMap(({ hangs, failed }) => [...hangs, ...failed]))].slice(0, 20)) log(line);
    const most = (of: (one: MalformedFound) => number) => Math.max(...found.map(of));
    const sum = (of: (one: MalformedFound) => number) => found.reduce((total, one) => total + of(one), 0);
    const figures: Figure[] = [
      { name: "crashes", value: sum(({ crashes }) => crashes), unit: "", better: "lower", target: 0 },
      { name: "hangs", value: sum(({ hangs }) => hangs.length), unit: "", better: "lower", target: 0 },
      { name: "growthMb", value: most(({ growthMb }) => growthMb), unit: "MB", better: "lower", target: 50 },
      { name: "rssGrowthMb", value: most(({ rssGrowthMb }) => rssGrowthMb), unit: "MB", better: "lower" },
      { name: "unexpectedErrors", value: sum(({ failed }) => failed.length), unit: "", better: "lower", target: 0 },
      { name: "places", value: Object.keys(tried).length, unit: "", better: "higher" },
    ];
    let seen = 0;
    for (const { plant, isSeen, ...rest } of controls) {
      const [control] = await recorded.each(`control ${plant}`, 1, signal, () => runMalformed({ ...rest, plant, seed }, signal, log));
      if (control && isSeen(control)) seen += 1;
    }
    figures.push({ name: "controlsSeen", value: seen, unit: "", better: "higher", target: controls.length });
    return { runs: Object.values(tried).reduce((total, count) => total + count, 0), failures: 0, figures, tried };
  },
};

export default malformed;
