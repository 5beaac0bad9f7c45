import type { HostPlan } from "../plan/host-plan.ts";
import { clientMark, clientTable, preference, throughMark, throughTable } from "../plan/routes.ts";
import type { IpLine, Tools } from "./tools.ts";

/** How the parts of a plan look on the host now, to be compared with how they looked. What was not looked at is absent. */
export type Look = {
  "the nft table"?: string;
  "the routes"?: string;
  "the IPv6 routes"?: string;
  "the address"?: string;
  "the IPv6 address"?: string;
  "the speed limits"?: string;
};

/** What looks; a process for each look, or one that stays (`createLooking`). */
type Looks = Pick<Tools, "table" | "ip">;

/** How much a quota holds changes all the time. "" where there is no such table. */
export const seenTable = async (tool: Pick<Looks, "table">, plan: HostPlan): Promise<string> =>
  (await tool.table(plan.table)).replaceAll(/\s*quota \S+ \{[^}]*\}/g, "");

/** What `ip` is to print so that `seenByIp` can tell how a plan's steps look; may follow steps in their batch. */
export const looking = (plan: HostPlan, families: readonly (4 | 6)[] = [4, 6]): IpLine[] =>
  families
    .filter((family) => plan.steps.some((step) => step.family === family))
    .flatMap((family) => [
      ...(family === 4 || hasAddress(plan, family) ? [{ family, line: "addr show" }] : []),
      ...(plan.kind === "client"
        ? [
            { family, line: "rule show" },
            { family, line: `route show table ${clientTable}` },
            ...(hasThrough(plan, family) ? [{ family, line: `route show table ${throughTable}` }] : []),
          ]
        : []),
    ]);

/** The table of the first of two tunnels; to ask for one that is not there is an error. */
const hasThrough = (plan: HostPlan, family: 4 | 6): boolean =>
  plan.steps.some((step) => step.family === family && step.add.startsWith("route ") && step.add.includes(` table ${throughTable}`));

const hasAddress = (plan: HostPlan, family: 4 | 6): boolean =>
  plan.steps.some((step) => step.family === family && step.add.startsWith("addr "));

export function seenByIp(plan: HostPlan, printed: { 4?: string; 6?: string }): Look {
  const looks: Look = {};
  const addresses = (text: string) =>
    linesOf(text)
      .map((line) => /^\d+: (\S+) +inet6? (\S+) .*scope global/.exec(line) ?? /^\d+: (\S+) +inet (\S+)/.exec(line))
      .flatMap((found) => (found?.[1] === plan.ifname || found?.[1] === plan.first ? (found?.[2] ?? []) : []))
      .join(" ");
  const routes = (text: string) => [...ourRules(text), ...linesOf(text).filter(isRoute)].join("\n");
  if (printed[4] !== undefined) {
    looks["the routes"] = routes(printed[4]);
    looks["the address"] = addresses(printed[4]);
  }
  if (printed[6] !== undefined) {
    looks["the IPv6 routes"] = routes(printed[6]);
    if (hasAddress(plan, 6)) looks["the IPv6 address"] = addresses(printed[6]);
  }
  return looks;
}

/** Each family of the plan's steps and the table, beside each other. */
export async function seen(tool: Looks, plan: HostPlan, families: readonly (4 | 6)[] = [4, 6]): Promise<Look> {
  const [table, ...printed] = await Promise.all([
    seenTable(tool, plan),
    ...families.map((family) => tool.ip(looking(plan, [family])).catch(() => ({ [family]: "" }))),
  ]);
  return { "the nft table": table, ...seenByIp(plan, Object.assign({}, ...printed)) };
}

/** Whether each step that adds a rule, a route or an address is seen, and no more of ours than these. */
export function isWhole(plan: HostPlan, looks: Look): boolean {
  const count = (text: string | undefined) => linesOf(text ?? "").length;
  const wanted = (family: 4 | 6) => plan.steps.filter((step) => step.family === family && /^(rule|route) /.test(step.add)).length;
  const addresses = plan.steps.flatMap(({ add }) => /^addr add (\S+)/.exec(add)?.[1] ?? []);
  return (
    count(looks["the routes"]) === wanted(4) &&
    count(looks["the IPv6 routes"]) === wanted(6) &&
    addresses.every((address) => [looks["the address"], looks["the IPv6 address"]].join(" ").split(" ").includes(address))
  );
}

const linesOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replaceAll(" linkdown", "").trim())
    .filter((line) => line !== "");

/** What `ip -o` prints of addresses and rules begins with a number and a colon; of IPv6's own addresses nothing is asked. */
const isRoute = (line: string): boolean => !/^\d+:/.test(line);

/** Our own of the policy rules, as `ip rule` prints them. */
const ourRules = (text: string): string[] => linesOf(text).filter((line) => ours.some((pattern) => pattern.test(line)));

/** By preference and form together: a rule of somebody else may have the number by chance. */
const ours = [
  new RegExp(`^${preference.own}:.* fwmark 0x${clientMark.toString(16)} lookup main$`),
  new RegExp(`^${preference.own}:.* (fwmark 0x${throughMark.toString(16)}|uidrange \\d+-\\d+ .*) lookup ${throughTable}$`),
  new RegExp(`^${preference.bound}:.* lookup (${clientTable}|${throughTable})$`),
  new RegExp(`^${preference.control}:.* uidrange \\d+-\\d+ .*lookup main$`),
  new RegExp(`^${preference.dns}:.* lookup ${clientTable}$`),
  new RegExp(`^${preference.split}:.* to \\S+ lookup main$`),
  new RegExp(`^${preference.specific}:.* lookup main suppress_prefixlength 0$`),
  new RegExp(`^${preference.tunnel}:.* lookup ${clientTable}$`),
];

/** Lines that remove the client's policy rules that still stand. */
export async function leftRules(tool: Tools): Promise<IpLine[]> {
  const left = await Promise.all(
    ([4, 6] as const).map(async (family) => {
      const rules = ourRules(await tool.print("ip", `-${family}`, "rule", "show"));
      return rules.map((rule) => ({ family, line: `rule del pref ${rule.replace(/^(\d+):\s*/, "$1 ")}` }));
    }),
  );
  return left.flat();
}
