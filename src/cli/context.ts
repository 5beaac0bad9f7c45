import type { CommandName } from "../commands.ts";
import type { Logger } from "../lib/ports.ts";
import type { Settings } from "../options.ts";
import type { Interrupts } from "./interrupts.ts";
import type { Output } from "./output.ts";
import type { Source } from "./settings.ts";
import type { Environment } from "./values.ts";

/** All that a command is given. */
export type Context<C extends CommandName> = {
  settings: Settings<C>;
  /** where each setting came from */
  sources: Record<string, Source>;
  /** positional arguments, checked */
  args: string[];
  out: Output;
  env: Environment;
  interrupts: Interrupts;
  log(): Promise<Logger>;
};

/** A command. It returns its exit status; none is success. An error is told and turned into a status by `run` (main.ts). */
// biome-ignore lint/suspicious/noConfusingVoidType: most commands return nothing
export type Run<C extends CommandName> = (context: Context<C>) => Promise<number | void>;
