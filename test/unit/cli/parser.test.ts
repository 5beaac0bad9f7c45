import assert from "node:assert/strict";
import { parseCommandLine } from "../../../src/cli/parser.ts";
import { type CommandName, commands } from "../../../src/commands.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { optionsOf } from "../../../src/options.ts";
import { describe } from "../../support/harness.ts";

const parse = (line: string) => parseCommandLine(line.split(" ").filter(Boolean));
const refused = (line: string, code: string, hint: RegExp) =>
  assert.throws(
    () => parse(line),
    (error) => isMystError(error) && error.code === code && hint.test(error.hint ?? ""),
    line,
  );
const helpOf = (line: string) => {
  const parsed = parse(line);
  return "help" in parsed ? parsed.help : assert.fail("no help");
};

describe("cli/parser", (test) => {
  test("reads options of the command and of all commands, in any order, and arguments", () => {
    const expected = { command: "connect", args: ["16Uiu2"], flags: { country: "US", exclude: ["a", "b"], json: true, "dry-run": true } };
    for (const line of [
      "connect 16Uiu2 --country US --exclude a --exclude b --json --dry-run",
      "--json connect --country=US --dry-run --exclude a 16Uiu2 --exclude=b",
    ]) {
      const parsed = parse(line);
      assert.ok("flags" in parsed);
      const given = Object.fromEntries(Object.entries(parsed.flags).filter(([, value]) => value !== undefined));
      assert.deepEqual({ ...parsed, flags: given }, expected);
    }
  });

  test("reads commands of two words, and the first alone", () => {
    for (const [line, command, args] of [
      ["wallet", "wallet", []],
      ["wallet settle", "wallet settle", []],
      ["wallet deposit 5myst --yes", "wallet deposit", ["5myst"]],
      ["network create --rpc http://x --no-color", "network create", []],
    ] as const) {
      const parsed = parse(line);
      assert.ok("command" in parsed);
      assert.deepEqual([parsed.command, parsed.args], [command, args]);
    }
    const parsed = parse("network create --rpc http://x --no-color");
    assert.ok("flags" in parsed && parsed.flags["no-color"] === true && parsed.flags.rpc === "http://x");
  });

  test("refuses an unknown option, with the one that was meant", () => {
    refused("connect --contry US", "UNKNOWN_FLAG", /'--country'/);
    refused("connect --cuontry=US", "UNKNOWN_FLAG", /'--country'/);
    refused("serve --price-gb 1myst", "UNKNOWN_FLAG", /'--price-gib'/);
    refused("--jsn status", "UNKNOWN_FLAG", /'--json'/);
    refused("status --country US", "UNKNOWN_FLAG", /status --help/);
    refused("exits -x", "UNKNOWN_FLAG", /exits --help/);
  });

  test("refuses an unknown command, with the one that was meant", () => {
    refused("conect --country US", "UNKNOWN_COMMAND", /mystnode connect'/);
    refused("wallet setle", "UNKNOWN_COMMAND", /mystnode wallet settle'/);
    refused("wallet depositt 5myst", "UNKNOWN_COMMAND", /mystnode wallet deposit'/);
    refused("zzz", "UNKNOWN_COMMAND", /--help/);
  });

  test("refuses too much and too little", () => {
    refused("status now", "USAGE", /status --help/);
    refused("network create here", "USAGE", /network create --help/);
    refused("wallet deposit", "USAGE", /wallet deposit --help/);
    refused("connect --country", "USAGE", /connect --help/);
  });

  test("help names every command and option within 80 columns, whichever way it is asked for", () => {
    const top = helpOf("--help");
    assert.equal(helpOf(""), top);
    assert.equal(helpOf("help"), top);
    assert.equal(helpOf("-h"), top);
    for (const name of Object.keys(commands) as CommandName[]) {
      const help = helpOf(`${name} --help`);
      assert.equal(helpOf(`help ${name}`), help);
      const [first, second] = name.split(" ");
      assert.match(second === undefined ? top : helpOf(`${first} --help`), new RegExp(`^  ${second ?? first}\\b`, "m"));
      for (const { name: option } of optionsOf(name))
        assert.match(help, new RegExp(`^ +(-., )?--${option}\\b`, "m"), `${name} --${option}`);
      for (const line of help.split("\n")) assert.ok(line.length <= 80, line);
    }
  });
});
