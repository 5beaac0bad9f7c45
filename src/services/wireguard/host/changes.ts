import { spawn } from "node:child_process";
import { toolPath } from "../backend/run-tool.ts";
import type { HostPlan } from "../plan/host-plan.ts";
import { clientTable, preference, throughTable } from "../plan/routes.ts";

/**
 * Both are told by the kernel. They would outlive us until the next thing that they have to tell, so their shell waits for its input to end,
 * which it does with us.
 */
const program = 'nft monitor & a=$!; ip -o monitor rule route address link & b=$!; read -r _; kill -KILL "$a" "$b"';

const ours = [...Object.values(preference).map((number) => `^(Deleted )?${number}:`), `table (${clientTable}|${throughTable})\\b`];

/**
 * Calls back when anybody, we too, has changed what a plan is made of: its tables, rules, routes or device. Nothing more than a hint: it may come
 * for nothing, and must not be counted on.
 */
export function watchChanges(
  { ifname, first, table }: Pick<HostPlan, "ifname" | "first" | "table">,
  onChange: () => void,
): { close(): void } {
  const devices = [ifname, ...(first === undefined ? [] : [first])].map((name) => `\\b${name.replaceAll(".", "\\.")}\\b`);
  const told = new RegExp([...ours, `inet ${table}\\b`, ...devices].join("|"), "m");
  const child = spawn("/bin/sh", ["-c", program], {
    env: { PATH: toolPath, LC_ALL: "C" },
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  child.stdin.on("error", () => undefined);
  child.on("error", () => undefined);
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const text = rest + chunk;
    rest = text.slice(text.lastIndexOf("\n") + 1).slice(-1000);
    if (told.test(text)) onChange();
  });
  return { close: () => child.stdin.end() };
}
