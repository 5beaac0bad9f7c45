import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import type { PolicyFound, PolicyOptions } from "./support/exit-policy/found.ts";
import { runProxyPolicy } from "./support/exit-policy/proxy.ts";
import { becomeEverywhere } from "./support/exit-policy/traps.ts";
import { runTunnelPolicy } from "./support/exit-policy/tunnel.ts";

/** By what an exit carries; they share the tries. */
const services = {
  wireguard: runTunnelPolicy,
  // last: from then on every address is ours
  proxy: (options: PolicyOptions) => {
    becomeEverywhere();
    return runProxyPolicy(options);
  },
};

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, count) => all + count, 0);

const exitPolicy: Measurement = {
  about: "a client tries what an exit must not carry: its own network, itself, mail, spelled and resolved in every way; nothing passes",
  runs: 5_000,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    const found: [string, PolicyFound][] = [];
    for (const [name, run] of Object.entries(services))
      found.push([name, await run({ runs: Math.ceil(runs / Object.keys(services).length), log, signal })]);
    for (const [name, { problems }] of found) for (const problem of problems) log(`${name}: ${problem}`);
    const seen = found.flatMap(([, one]) => Object.values(one.seen));
    return {
      runs: found.reduce((all, [, { tried }]) => all + sum(tried), 0),
      failures: found.reduce((all, [, { problems }]) => all + problems.length, 0),
      figures: [
        { name: "passed", value: found.reduce((all, [, { passed }]) => all + passed, 0), unit: "", better: "lower", target: 0 },
        {
          name: "controlsSeen",
          value: seen.filter((count) => count > 0).length,
          unit: "of kinds and ways",
          better: "higher",
          target: seen.length,
        },
        { name: "allowedReached", value: Math.min(...found.map(([, { reached }]) => reached)), unit: "", better: "higher", target: 1 },
      ],
      tried: Object.fromEntries(
        found.flatMap(([name, { tried }]) => Object.entries(tried).map(([kind, count]) => [`${name}: ${kind}`, count])),
      ),
    };
  },
};

export default exitPolicy;
