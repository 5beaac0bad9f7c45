import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { MystError } from "../../../lib/errors.ts";
import { runTool, type ToolOptions } from "../backend/run-tool.ts";
import type { IpStep } from "../plan/host-plan.ts";

/** Runs a tool to its end, with text on its standard input; as `runTool`. */
export type Run = (tool: string, args: string[], options?: ToolOptions) => Promise<string>;

/** The kernel's settings, by their path below /proc/sys. */
export type SysctlAccess = {
  /** undefined where the kernel has none of this name */
  read(key: string): string | undefined;
  write(key: string, value: string): void;
  /** names in a directory */
  list(key: string): string[];
};

export const procSysctl: SysctlAccess = {
  read: (key) => {
    try {
      return readFileSync(`/proc/sys/${key}`, "utf8").trim();
    } catch {
      return undefined;
    }
  },
  write: (key, value) => writeFileSync(`/proc/sys/${key}`, value),
  list: (key) => {
    try {
      return readdirSync(`/proc/sys/${key}`);
    } catch {
      return [];
    }
  },
};

/** A line for `ip -batch` of one family. */
export type IpLine = { family: 4 | 6; line: string };

export type Tools = {
  nft(text: string): Promise<void>;
  /**
   * One `ip -batch` for each family that has lines, both at once; the first line that fails ends its batch. Resolves with what they
   * print (as with -o), once both have ended.
   */
  ip(lines: IpLine[]): Promise<{ 4?: string; 6?: string }>;
  /** goes on after lines that fail, such as those that remove what has gone by itself */
  ipAnyway(lines: IpLine[]): Promise<void>;
  /** One `tc -batch`; the first line that fails ends it. Resolves with what it prints. */
  tc(lines: string[]): Promise<string>;
  /** goes on after lines that fail */
  tcAnyway(lines: string[]): Promise<void>;
  /** one nft table as text, without counters and the contents of sets; "" where there is none of this name. `family`: default inet */
  table(name: string, family?: "inet" | "ip" | "ip6"): Promise<string>;
  /** what it prints; "" where it fails, as it does for a table or a device that is not there */
  print(tool: string, ...args: string[]): Promise<string>;
};

/** @throws from each: TOOL_MISSING, or TUNNEL_FAILED with what the tool said */
export function tools(run: Run = runTool): Tools {
  const checked: Run = (tool, args, options) =>
    run(tool, args, options).catch((cause: unknown) => {
      if (cause instanceof MystError && cause.code === "TOOL_MISSING") throw cause;
      const said = cause instanceof Error ? cause.message : String(cause);
      throw new MystError("TUNNEL_FAILED", `this host's network could not be set up: ${said}`, { hint: "see 'mystnode doctor'", cause });
    });
  const batch = async (steps: IpLine[], ...force: "-force"[]): Promise<{ 4?: string; 6?: string }> => {
    const families = ([4, 6] as const).filter((family) => steps.some((step) => step.family === family));
    const ended = await Promise.allSettled(
      families.map(async (family) => {
        const lines = steps.filter((step) => step.family === family).map(({ line }) => line);
        return { [family]: await checked("ip", [...force, "-o", `-${family}`, "-batch", "-"], { input: `${lines.join("\n")}\n` }) };
      }),
    );
    return Object.assign({}, ...ended.map((one) => (one.status === "fulfilled" ? one.value : fail(one.reason))));
  };
  const print: Tools["print"] = (tool, ...args) =>
    checked(tool, args, { timeoutMs: 20_000 }).catch((error: unknown) => {
      onlyFailed(error);
      return "";
    });
  return {
    nft: async (text) => void (await checked("nft", ["-f", "-"], { input: text, timeoutMs: 20_000 })),
    ip: (lines) => batch(lines),
    ipAnyway: async (lines) => void (await batch(lines, "-force").catch(onlyFailed)),
    tc: (lines) => checked("tc", ["-batch", "-"], { input: `${lines.join("\n")}\n`, timeoutMs: 20_000 }),
    tcAnyway: async (lines) => void (await checked("tc", ["-force", "-batch", "-"], { input: `${lines.join("\n")}\n` }).catch(onlyFailed)),
    table: (name, family = "inet") => print("nft", "-s", "-t", "list", "table", family, name),
    print,
  };
}

function fail(error: unknown): never {
  throw error;
}

const onlyFailed = (error: unknown): void => {
  if (error instanceof MystError && error.code === "TOOL_MISSING") throw error;
};

export const adding = (steps: IpStep[]) => steps.map(({ family, add }) => ({ family, line: add }));
export const removing = (steps: { family: 4 | 6; del: string }[]) => steps.map(({ family, del }) => ({ family, line: del }));
