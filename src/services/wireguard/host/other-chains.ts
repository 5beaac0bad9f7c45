import { z } from "zod";
import { type Accept, ruleComment } from "../plan/host-plan.ts";
import type { Tools } from "./tools.ts";

const listing = z.object({
  nftables: z.array(
    z.object({
      chain: z
        .object({ family: z.string(), table: z.string(), name: z.string(), hook: z.string().optional(), policy: z.string().optional() })
        .optional(),
      rule: z
        .object({ family: z.string(), table: z.string(), chain: z.string(), handle: z.int(), comment: z.string().optional() })
        .optional(),
    }),
  ),
});

type Table = "ip filter" | "ip6 filter";
const tables: Table[] = ["ip filter", "ip6 filter"];
const tableOf = ({ family }: Accept): Table => (family === 6 ? "ip6 filter" : "ip filter");
const of = (accepts: Accept[], table: Table) => accepts.filter((accept) => tableOf(accept) === table);

/** Chains and rules of a table, which iptables (its nft variant), Docker and ufw share; empty where there is none. */
async function list(tools: Tools, table: Table): Promise<z.infer<typeof listing>["nftables"]> {
  const text = await tools.print("nft", "-j", "-a", "list", "table", ...table.split(" "));
  return text === "" ? [] : listing.parse(JSON.parse(text)).nftables;
}

/** Those of our rules that are in chains of other firewalls, as `chain handle` in order. */
const ours = (objects: Awaited<ReturnType<typeof list>>) =>
  objects.flatMap(({ rule }) => (rule?.comment === ruleComment ? [{ chain: rule.chain, handle: rule.handle }] : []));

const deletions = (table: Table, found: { chain: string; handle: number }[]): string[] =>
  found.map(({ chain, handle }) => `delete rule ${table} ${chain} handle ${handle}`);

/** Puts the rules at the head of those chains that exist, once however often it is called. */
export async function insertAccepts(tools: Tools, accepts: Accept[]): Promise<void> {
  const lines: string[] = [];
  for (const table of tables) {
    const wanted = of(accepts, table);
    if (wanted.length === 0) continue;
    const objects = await list(tools, table);
    const there = new Set(objects.map(({ chain }) => chain?.name));
    const inserted = wanted.filter(({ chain }) => there.has(chain)).map(({ chain, rule }) => `insert rule ${table} ${chain} ${rule}`);
    lines.push(...deletions(table, ours(objects)), ...inserted);
  }
  if (lines.length > 0) await tools.nft(`${lines.join("\n")}\n`);
}

export async function removeAccepts(tools: Tools): Promise<void> {
  const lines = (await Promise.all(tables.map(async (table) => deletions(table, ours(await list(tools, table)))))).flat();
  if (lines.length > 0) await tools.nft(`${lines.join("\n")}\n`);
}

/** How many of the rules are missing in chains that exist. Asked every few seconds, of an `nft` that stays, which tells text. */
export async function missingAccepts(looks: Pick<Tools, "table">, accepts: Accept[]): Promise<number> {
  let missing = 0;
  for (const table of tables) {
    const wanted = of(accepts, table);
    if (wanted.length === 0) continue;
    const [family = "", name = ""] = table.split(" ");
    const text = await looks.table(name, family as "ip" | "ip6");
    const there = new Set([...text.matchAll(/^\tchain (\S+) \{$/gm)].map(([, chain]) => chain));
    const found = text.split(`comment "${ruleComment}"`).length - 1;
    missing += wanted.filter(({ chain }) => there.has(chain)).length - found;
  }
  return missing;
}
