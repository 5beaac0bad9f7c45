import type { HostPlan } from "../plan/host-plan.ts";
import { clientTable, preference } from "../plan/routes.ts";
import type { Tools } from "./tools.ts";

/** How the parts of a plan look on the host now, to be compared with how they looked: nft table, routes, IPv6 routes, address. */
export async function seen(tool: Tools, plan: HostPlan): Promise<string[]> {
  // without counters and the contents of sets; how much a quota holds changes all the time
  const table = (await tool.print("nft", "-s", "-t", "list", "table", "inet", plan.table)).replaceAll(/\s*quota \S+ \{[^}]*\}/g, "");
  if (plan.kind === "exit") return [table, "", "", await address(tool, plan.ifname)];
  const routes = async (family: 4 | 6) => {
    const own = (await tool.print("ip", `-${family}`, "route", "show", "table", String(clientTable))).replaceAll(" linkdown", "");
    return [...(await rules(tool, family)), own].join("\n");
  };
  return [table, await routes(4), await routes(6), await address(tool, plan.ifname)];
}

const address = async (tool: Tools, ifname: string): Promise<string> => {
  const text = await tool.print("ip", "-4", "-o", "addr", "show", "dev", ifname);
  return text.match(/inet \S+/g)?.join(" ") ?? "";
};

/** Our own of the policy rules, as `ip rule` prints them. */
async function rules(tool: Tools, family: 4 | 6): Promise<string[]> {
  const lines = (await tool.print("ip", `-${family}`, "rule", "show")).split("\n").map((line) => line.trim());
  return lines.filter((line) => ours.some((pattern) => pattern.test(line)));
}

/** By preference and form together: a rule of somebody else may have the number by chance. */
const ours = [
  new RegExp(`^${preference.control}:.* uidrange \\d+-\\d+ .*lookup main$`),
  new RegExp(`^${preference.dns}:.* lookup ${clientTable}$`),
  new RegExp(`^${preference.specific}:.* lookup main suppress_prefixlength 0$`),
  new RegExp(`^${preference.tunnel}:.* lookup ${clientTable}$`),
];

/** Lines that remove the client's policy rules that still stand. */
export async function leftRules(tool: Tools): Promise<{ family: 4 | 6; line: string }[]> {
  const left = await Promise.all(([4, 6] as const).map(async (family) => (await rules(tool, family)).map((rule) => ({ family, rule }))));
  return left.flat().map(({ family, rule }) => ({ family, line: `rule del pref ${rule.replace(/^(\d+):\s*/, "$1 ")}` }));
}
