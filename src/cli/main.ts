import { type CommandName, type CommandRow, commands } from "../commands.ts";
import { asMystError, isMystError } from "../lib/errors.ts";
import type { Settings } from "../options.ts";
import type { Context, Run } from "./context.ts";
import { exitStatus, interrupted } from "./exit-status.ts";
import { withHint } from "./hints.ts";
import { createInterrupts } from "./interrupts.ts";
import { causes, createOutput, type Output } from "./output.ts";
import { parseCommandLine } from "./parser.ts";
import { resolveSettings, type Source } from "./settings.ts";
import { type Environment, expandPath, parseValue } from "./values.ts";

/** Each command is loaded when it is run: `--help`, `version` and usage errors load no chain and no network code. */
const loaders: { [C in CommandName]: () => Promise<Run<C>> } = {
  init: async () => (await import("./init.ts")).init,
  connect: async () => (await import("./connect.ts")).connect,
  block: async () => (await import("./block.ts")).block,
  disconnect: async () => (await import("./disconnect.ts")).disconnect,
  exits: async () => (await import("./exits.ts")).exits,
  explain: async () => (await import("./explain.ts")).explain,
  serve: async () => (await import("./serve.ts")).serve,
  status: async () => (await import("./status.ts")).status,
  sessions: async () => (await import("./sessions.ts")).sessions,
  wallet: async () => (await import("./wallet.ts")).show,
  "wallet deposit": async () => (await import("./wallet-moves.ts")).deposit,
  "wallet close": async () => (await import("./wallet-moves.ts")).close,
  "wallet withdraw": async () => (await import("./wallet-moves.ts")).withdraw,
  "wallet adopt": async () => (await import("./wallet-adopt.ts")).adopt,
  "wallet retire": async () => (await import("./wallet-retire.ts")).retire,
  "wallet channels": async () => (await import("./wallet.ts")).channels,
  "wallet settle": async () => (await import("./wallet-moves.ts")).settle,
  "wallet consent": async () => (await import("./wallet-outside.ts")).consent,
  identity: async () => (await import("./identity.ts")).show,
  "identity show": async () => (await import("./identity.ts")).show,
  "identity export": async () => (await import("./identity.ts")).exportKey,
  "identity rotate": async () => (await import("./wallet-retire.ts")).rotate,
  "identity import": async () => (await import("./identity.ts")).importKey,
  network: async () => (await import("./network.ts")).show,
  "network create": async () => (await import("./network.ts")).create,
  "network show": async () => (await import("./network.ts")).show,
  doctor: async () => (await import("./doctor.ts")).doctor,
  cleanup: async () => (await import("./cleanup.ts")).cleanup,
  devnet: async () => (await import("./devnet.ts")).devnet,
  "devnet shell": async () => (await import("./devnet.ts")).shell,
  version: async () => (await import("./version.ts")).version,
};

async function settingsOf(command: CommandName, flags: Record<string, string | string[] | boolean | undefined>, env: Environment) {
  const directory = process.cwd();
  const named = flags.config !== undefined ? String(flags.config) : env.MYSTNODE_CONFIG;
  const path = expandPath(named || "$XDG_CONFIG_HOME/mystnode/config.json", directory, env);
  const { existsSync } = await import("node:fs");
  // most people have no config file: then its schema need not be made
  const config =
    named || existsSync(path) ? (await import("./config-file.ts")).readConfigFile(path, Boolean(named)) : { path, directory, values: {} };
  return resolveSettings(command, { flags, env, config, directory });
}

const checkedArguments = (command: CommandName, args: string[], env: Environment): string[] =>
  ((commands[command] as CommandRow).arguments ?? []).flatMap(({ name, kind }, index) => {
    const text = args[index];
    if (text === undefined) return [];
    const value = parseValue(kind, text, { name, directory: process.cwd(), env });
    return [typeof value === "string" ? value : text];
  });

const isOn = (text: string | undefined) => text !== undefined && /^(1|true|yes)$/i.test(text);
const outputOf = (json: boolean, quiet: boolean, color: boolean): Output =>
  createOutput({ json, quiet, color, stdout: process.stdout, stderr: process.stderr });

/**
 * Runs one command line to its end and tells its errors.
 * @param argv without node and script
 * @returns the exit status
 */
export async function run(argv: string[]): Promise<number> {
  const env = process.env;
  // a reader that has seen enough (`| head`) is no error
  process.stdout.on("error", (error: { code?: string }) => process.exit(error.code === "EPIPE" ? 0 : exitStatus.INTERNAL));
  let out = outputOf(argv.includes("--json") || isOn(env.MYSTNODE_JSON), false, !argv.includes("--no-color"));
  let debug = false;
  try {
    const parsed = parseCommandLine(argv, Math.min(80, process.stdout.columns ?? 80));
    if ("help" in parsed) {
      process.stdout.write(parsed.help);
      return 0;
    }
    const { settings, sources } = await settingsOf(parsed.command, parsed.flags, env);
    debug = settings.logLevel === "debug";
    out = outputOf(settings.json, settings.quiet, !settings.noColor);
    return await runCommand(parsed.command, settings, sources, checkedArguments(parsed.command, parsed.args, env), out);
  } catch (error) {
    const ours = withHint(asMystError(error));
    out.endLive();
    out.fail(ours);
    if (debug) for (const cause of causes(error)) out.warn(cause);
    return exitStatus[ours.code] ?? exitStatus.INTERNAL;
  }
}

async function runCommand<C extends CommandName>(
  command: C,
  settings: Settings<C>,
  sources: Record<string, Source>,
  args: string[],
  out: Output,
): Promise<number> {
  const interrupts = createInterrupts(process, () => process.exit(interrupted));
  let log: ReturnType<Context<C>["log"]> | undefined;
  const openLog = async () => (await import("./log.ts")).createLogger(settings.logLevel, out, Boolean(process.stderr.isTTY));
  const context: Context<C> = {
    settings,
    sources,
    args,
    out,
    env: process.env,
    interrupts,
    log: () => {
      log ??= openLog();
      return log;
    },
  };
  const work = (await loaders[command]()) as Run<C>;
  // a command ends when it is done, not when all that is left are timers that keep nothing alive
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    return (await work(context)) ?? 0;
  } catch (error) {
    // what was cut off in the middle fails in ways of its own
    throw interrupts.signal.aborted && !isMystError(error) ? interrupts.signal.reason : error;
  } finally {
    clearInterval(alive);
  }
}
