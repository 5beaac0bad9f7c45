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

export type Tools = {
  nft(text: string): Promise<void>;
  /** one `ip -batch` for each family; the first line that fails ends it */
  ip(steps: { family: 4 | 6; line: string }[]): Promise<void>;
  /** goes on after lines that fail, such as those that remove what has gone by itself */
  ipAnyway(steps: { family: 4 | 6; line: string }[]): Promise<void>;
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
  const batch = async (steps: { family: 4 | 6; line: string }[], force: boolean) => {
    for (const family of [4, 6] as const) {
      const lines = steps.filter((step) => step.family === family).map(({ line }) => line);
      if (lines.length === 0) continue;
      const done = checked("ip", [...(force ? ["-force"] : []), `-${family}`, "-batch", "-"], { input: `${lines.join("\n")}\n` });
      await (force ? done.catch(onlyFailed) : done);
    }
  };
  return {
    nft: async (text) => void (await checked("nft", ["-f", "-"], { input: text, timeoutMs: 20_000 })),
    ip: (steps) => batch(steps, false),
    ipAnyway: (steps) => batch(steps, true),
    print: (tool, ...args) =>
      checked(tool, args, { timeoutMs: 20_000 }).catch((error: unknown) => {
        onlyFailed(error);
        return "";
      }),
  };
}

const onlyFailed = (error: unknown): void => {
  if (error instanceof MystError && error.code === "TOOL_MISSING") throw error;
};

export const adding = (steps: IpStep[]) => steps.map(({ family, add }) => ({ family, line: add }));
export const removing = (steps: { family: 4 | 6; del: string }[]) => steps.map(({ family, del }) => ({ family, line: del }));
