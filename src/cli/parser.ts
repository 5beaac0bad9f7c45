import { Argument, Command, CommanderError, Help, Option } from "commander";
import { type CommandName, type CommandRow, commands } from "../commands.ts";
import { MystError } from "../lib/errors.ts";
import type { OptionKind, OptionRow } from "../option-kinds.ts";
import { camel, options, optionsOf } from "../options.ts";
import type { Flags } from "./settings.ts";
import { suggest } from "./suggest.ts";

export type Parsed = { command: CommandName; args: string[]; flags: Flags } | { help: string };

/** How a value of a kind is named in `--help`, and how it is written. */
export const kindTexts: Record<OptionKind, { metavar: string; form: string }> = {
  string: { metavar: "name", form: "text" },
  country: { metavar: "CC", form: "ISO 3166-1 alpha-2, for example US" },
  amount: { metavar: "amount", form: "with the symbol of the network's token, for example 0.1myst; defaults are in that token" },
  integer: { metavar: "number", form: "a whole number above 0" },
  percent: { metavar: "percent", form: "0% to 100%, with at most two digits after the point, for example 1.5%" },
  flag: { metavar: "", form: "" },
  path: { metavar: "path", form: "of a file or directory; ~/ is the home directory" },
  duration: { metavar: "time", form: "a number and s, m, h or d" },
  hours: { metavar: "hours", form: "days and hours of the week, or one of the two: mon-fri 18:00-23:30, 22:00-06:00, sat-sun" },
  speed: { metavar: "speed", form: "a number and Kbit, Mbit or Gbit, each second" },
  size: { metavar: "size", form: "a number and KiB, MiB, GiB or TiB" },
  choice: { metavar: "choice", form: "one of those listed" },
  url: { metavar: "URL", form: "http or https" },
  peer: { metavar: "peer", form: "a peer id, or its last 6 characters or more" },
  account: { metavar: "0x…", form: "0x and 40 hex digits" },
  ip: { metavar: "IP", form: "an IP address" },
  hostport: { metavar: "host:port", form: "127.0.0.1:1080 or [::1]:1080" },
  listen: { metavar: "address", form: "a multiaddr such as /ip4/0.0.0.0/tcp/4480, or 0.0.0.0:4480" },
  invite: { metavar: "invite", form: "a multiaddr that ends in /p2p/<peer id>" },
  share: { metavar: "0..1", form: "a number from 0 to 1, for example 0.5" },
  port: { metavar: "port", form: "0 to 65535" },
  ports: { metavar: "ports", form: "25,465,587, or none" },
  interface: { metavar: "interface", form: "as `ip link` names it" },
  network: { metavar: "network", form: "192.0.2.0/24" },
  destination: { metavar: "IP[:port]", form: "192.0.2.7, 192.0.2.7:8080, 192.0.2.0/24" },
};

const everywhere = "Everywhere:";
const globals = (options as readonly OptionRow[]).filter((row) => row.commands === "all");
const about = "A VPN market with no company in it: find an exit, pay it by signed promises, clear on chain.";
const footer = `
Try it: mystnode devnet                  Sell: mystnode serve --country DE
Buy:    mystnode connect --country US    All options: docs/cli.md`;

/** "--max-price-gib <amount>" */
export const flagsOf = (row: OptionRow): string =>
  row.kind === "flag" ? `--${row.name}` : `--${row.name} <${kindTexts[row.kind].metavar}>`;

export function describeOption(row: OptionRow): string {
  const extra = [
    row.choices && row.choices.length > 1 && row.choices.join(", "),
    row.list && "repeatable",
    row.default !== undefined && `default: ${row.default}`,
  ].filter(Boolean);
  return extra.length > 0 ? `${row.help} (${extra.join("; ")})` : row.help;
}

function addOption(command: Command, row: OptionRow): void {
  const option = new Option(flagsOf(row), describeOption(row)).helpGroup(`${row.group ?? "Options"}:`);
  if (row.list) option.argParser<string[]>((text, before) => [...(before ?? []), text]);
  command.addOption(option);
}

/** commander turns `--no-x` into x: false */
const rawFlag = (values: Record<string, unknown>, row: OptionRow) =>
  row.name.startsWith("no-") ? (values[camel(row.name.slice(3))] === false ? true : undefined) : values[camel(row.name)];

/** commander's layout, but with the commands in front of the options that all of them have. */
function formatHelp(command: Command, helper: Help): string {
  const blocks = new Help().formatHelp.call(helper, command, helper).trimEnd().split("\n\n");
  const shared = blocks.filter((block) => block.startsWith(everywhere)).map((block) => block.slice(everywhere.length + 1));
  const own = blocks.filter((block) => !block.startsWith(everywhere));
  return `${[...own, [everywhere, ...shared.reverse()].join("\n")].join("\n\n")}\n`;
}

/**
 * Reads a command line by the tables of commands and options. Nothing is run and no value is checked yet.
 * @throws UNKNOWN_COMMAND, UNKNOWN_FLAG, USAGE
 */
export function parseCommandLine(argv: readonly string[], width = 80): Parsed {
  let found: Parsed | undefined;
  let help = "";
  const prepare = (command: Command, name: string) =>
    command
      .allowExcessArguments(false)
      .addHelpOption(new Option("-h, --help", "show this help").helpGroup(everywhere))
      .configureHelp({
        formatHelp,
        showGlobalOptions: true,
        helpWidth: width,
        styleTitle: (title) => (title === "Global Options:" ? everywhere : title),
      })
      .configureOutput({
        writeOut: (text) => {
          help += text;
        },
        writeErr: () => undefined,
        getOutHelpWidth: () => width,
      })
      .exitOverride((error) => {
        throw help === "" ? usageError(error, name, command) : error;
      });
  const program = prepare(new Command("mystnode"), "").description(about).addHelpText("after", footer).helpCommand(false);
  for (const row of globals) addOption(program, row);
  for (const [name, row] of Object.entries(commands) as [CommandName, CommandRow][]) {
    const [first = "", second] = name.split(" ");
    const parent = second === undefined ? program : program.commands.find((command) => command.name() === first);
    const command = prepare(new Command(second ?? first), name).description(row.summary);
    command.helpGroup(`${second === undefined ? row.group : "Commands"}:`).helpCommand(false);
    for (const argument of row.arguments ?? [])
      command.addArgument(new Argument(argument.required ? `<${argument.name}>` : `[${argument.name}]`, argument.help));
    for (const option of optionsOf(name)) if (option.commands !== "all") addOption(command, option);
    command.action(() => {
      const values = command.optsWithGlobals();
      const flags = Object.fromEntries(optionsOf(name).map((option) => [option.name, rawFlag(values, option) as Flags[string]]));
      found = { command: name, args: command.args, flags };
    });
    parent?.addCommand(command);
  }
  const wanted = argv[0] === "help" ? [...argv.slice(1), "--help"] : argv.length === 0 ? ["--help"] : argv;
  try {
    program.parse(wanted, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
  }
  return found ?? { help };
}

/** commander's error in our words, with what was probably meant. `name` is the command that raised it. */
function usageError(error: CommanderError, name: string, command: Command): MystError {
  const message = error.message.split("\n")[0]?.replace(/^error: /, "") ?? "";
  const help = `see 'mystnode ${name && `${name} `}--help'`;
  if (error.code === "commander.unknownOption") {
    const flag = /'--?([^'=]*)/.exec(message)?.[1] ?? "";
    const known = (name === "" ? globals : optionsOf(name as CommandName)).map((row) => row.name);
    const meant = suggest(flag, [...known, "help"]);
    return new MystError("UNKNOWN_FLAG", `unknown option '--${flag}'`, { hint: meant ? `did you mean '--${meant}'?` : help });
  }
  const unknown = error.code === "commander.unknownCommand" || (error.code === "commander.excessArguments" && command.commands.length > 0);
  if (!unknown) return new MystError("USAGE", message, { hint: help });
  const words = command.commands.map((child) => child.name());
  const meant = suggest(command.args[0] ?? "", words);
  const whole = (last: string) => [name, last].filter(Boolean).join(" ");
  return new MystError("UNKNOWN_COMMAND", `unknown command '${whole(command.args[0] ?? "").slice(0, 60)}'`, {
    hint: meant ? `did you mean 'mystnode ${whole(meant)}'?` : help,
  });
}
