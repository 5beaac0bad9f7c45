import { formatAmount, formatDuration, type Unit } from "../lib/units.ts";
import type { ExplainView } from "../node/types.ts";
import type { Run } from "./context.ts";
import { type Column, facts, fit, shortPeer, table } from "./format.ts";
import { countryOptions, networkOf, withNode } from "./hosting.ts";
import { wholePeer } from "./peers.ts";
import { agoText, priceText } from "./texts.ts";

/** Why this node thinks of an exit what it does: own sessions, those of others and what they weigh, stake, and its place in the choice. */
export const explain: Run<"explain"> = async (context) => {
  const { args, out, interrupts } = context;
  await withNode(
    context,
    async (api) => {
      const { token } = await networkOf(api);
      const peer = await wholePeer(api, args[0] ?? "");
      out.progress("asking peers for what they know of it");
      const { exit } = await api.call("explain", { peer }, interrupts.signal);
      out.object({ exit });
      out.print(facts(explainFacts(exit, token)));
      if (exit.coPayers.length > 0) out.print(`\n${table(exit.coPayers, coPayerColumns(token))}`);
    },
    { join: true, starting: countryOptions(context.settings) },
  );
};

const number = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const percent = (value: number) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
const sessions = (count: number) => `${number(count)} ${count === 1 ? "session" : "sessions"}`;

export function explainFacts(exit: ExplainView, unit: Unit): Record<string, string | readonly string[] | undefined> {
  const { own, gossip, stake, rank, evidence, quality } = exit;
  const country = exit.exits[0]?.country;
  return {
    exit: exit.peer,
    address: exit.address,
    offers: exit.exits.length > 0 ? exit.exits.map((one) => `${one.service} in ${one.country} at ${priceText(one, unit)}`) : "nothing now",
    country: exit.country && countryLines(exit.country),
    score: [
      `${exit.score.toFixed(2)} of 1: quality ${quality.toFixed(2)}, from ${number(evidence.ok)} sessions for it, ${number(evidence.fail)} against`,
      ...(exit.isNew ? ["little is known of it: it is tried now and then"] : []),
    ],
    "own sessions":
      own.sessions === 0
        ? "none"
        : [`${own.sessions}, of which it ended ${own.fails} by its own fault`, `${formatAmount(own.settled, unit, 6)} settled`],
    "others' word": [
      gossip.weight > 0 ? `counts like ${sessions(gossip.weight)}` : "counts nothing: nobody tells of it who paid an exit that we paid",
      ...(gossip.raters > 0 ? [`${gossip.raters} ${gossip.raters === 1 ? "payer has" : "payers have"} rated it`] : []),
    ],
    "at most": gossip.most > 0 ? `${sessions(gossip.most)} for all of them, ${number(gossip.mostOfOne)} for one` : undefined,
    trace:
      gossip.flow > 0 ? `${percent(gossip.flow)} of our money ends here, ${percent(gossip.reference)} at an established exit` : undefined,
    speed: exit.mbps === undefined ? "not known" : `${exit.mbps} Mbit/s`,
    latency: exit.rttMs === undefined ? "not known" : `${Math.round(exit.rttMs)} ms`,
    stake:
      stake.bond > 0n
        ? [`${formatAmount(stake.bond, unit, 6)} for ${formatDuration(stake.ageMs)}`, `worth ${percent(stake.share)} of one good session`]
        : "none",
    rank: rank && [
      `${rank.place} of ${rank.of} in ${country} with room; tried first ${percent(rank.chance)} of the time`,
      `utility ${rank.utility.toFixed(3)}, the product of`,
      ...factorLines(rank.factors),
    ],
    "could take": "one quantum of a session at most, whatever its score",
  };
}

/** of a database; an address of IPv6 has to stand beside it */
const nameWidth = 12;

const states = {
  claimed: "by its word alone",
  database: "by databases of addresses",
  latency: "by latency: it answers as soon as what is near does",
  refuted: "is refuted",
};
const refuters = {
  egress: "its traffic comes out elsewhere",
  databases: "databases have it elsewhere",
  latency: "it answers sooner than light could",
};

function countryLines({
  claimed,
  state,
  refutedBy,
  here,
  databases,
  measured,
  egress,
  told,
}: NonNullable<ExplainView["country"]>): string[] {
  return [
    `${claimed} ${states[state]}${refutedBy === undefined ? "" : `: ${refuters[refutedBy]}`}`,
    ...(egress ? [`its traffic came out of ${egress.address}, ${egress.observers} peers saw, ${agoText(Date.now() - egress.atMs)}`] : []),
    ...(told === undefined ? [] : [`others saw it come out in ${told}`]),
    ...databases.map(
      ({ database, address, country, of }) => `${fit(database, nameWidth)}: ${of === "egress" ? "egress " : ""}${address} in ${country}`,
    ),
    ...(databases.length > 0 ? [] : ["no database says where its address is: see --geoip-db"]),
    ...measured.map(({ by, rttMs, country, apartKm }) => {
      const place = apartKm > 0 ? `${country}, ${apartKm} km away at least` : country;
      return `${Math.round(rttMs)} ms from ${by === undefined ? "here" : shortPeer(by)} (${place})`;
    }),
    ...(here === undefined && measured.length === 0 ? ["latency says nothing as long as it is not known where we are: see --here"] : []),
  ];
}

function factorLines({ score, speed, country, price, room, places }: NonNullable<ExplainView["rank"]>["factors"]): string[] {
  const told = (factors: Record<string, number>) =>
    Object.entries(factors)
      .map(([name, value]) => `${name} ${value.toFixed(2)}`)
      .join(", ");
  return [told({ score, speed, country }), told({ price, room, "share of its network's place": places })];
}

export const coPayerColumns = (unit: Unit): Column<ExplainView["coPayers"][number]>[] => [
  { title: "CO-PAYER", cell: ({ payer }) => `${payer.slice(0, 10)}…` },
  { title: "WEIGHT", cell: ({ weight }) => number(weight), right: true },
  { title: "WELL", cell: ({ ok }) => number(ok), right: true },
  { title: "BADLY", cell: ({ fail }) => number(fail), right: true },
  { title: "SETTLED", cell: ({ settled }) => formatAmount(settled, unit, 4), right: true },
  { title: "ALSO PAID", cell: ({ via }) => via.map((one) => shortPeer(one)).join(" "), flexible: true },
];
