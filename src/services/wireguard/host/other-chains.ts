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

const name = "filter";
const table = `ip ${name}`;

/** Chains and rules of table `ip filter`, which iptables (its nft variant), Docker and ufw share; empty where there is none. */
async function list(tools: Tools): Promise<z.infer<typeof listing>["nftables"]> {
  const text = await tools.print("nft", "-j", "-a", "list", "table", "ip", name);
  return text === "" ? [] : listing.parse(JSON.parse(text)).nftables;
}

/** Those of our rules that are in chains of other firewalls, as `chain handle` in order. */
const ours = (objects: Awaited<ReturnType<typeof list>>) =>
  objects.flatMap(({ rule }) => (rule?.comment === ruleComment ? [{ chain: rule.chain, handle: rule.handle }] : []));

const deletions = (found: { chain: string; handle: number }[]): string[] =>
  found.map(({ chain, handle }) => `delete rule ${table} ${chain} handle ${handle}`);

/** Puts the rules at the head of those chains that exist, once however often it is called. */
export async function insertAccepts(tools: Tools, accepts: Accept[]): Promise<void> {
  if (accepts.length === 0) return;
  const objects = await list(tools);
  const there = new Set(objects.map(({ chain }) => chain?.name));
  const lines = accepts.filter(({ chain }) => there.has(chain)).map(({ chain, rule }) => `insert rule ${table} ${chain} ${rule}`);
  const text = [...deletions(ours(objects)), ...lines].join("\n");
  if (text) await tools.nft(`${text}\n`);
}

export async function removeAccepts(tools: Tools): Promise<void> {
  const lines = deletions(ours(await list(tools)));
  if (lines.length > 0) await tools.nft(`${lines.join("\n")}\n`);
}

/** How many of the rules are missing in chains that exist. Asked every few seconds, of an `nft` that stays, which tells text. */
export async function missingAccepts(looks: Pick<Tools, "table">, accepts: Accept[]): Promise<number> {
  if (accepts.length === 0) return 0;
  const text = await looks.table(name, "ip");
  const there = new Set([...text.matchAll(/^\tchain (\S+) \{$/gm)].map(([, chain]) => chain));
  const found = text.split(`comment "${ruleComment}"`).length - 1;
  return accepts.filter(({ chain }) => there.has(chain)).length - found;
}
