import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfigFile, configSchema, readConfigFile } from "../../../src/cli/config-file.ts";
import { type Flags, resolveSettings } from "../../../src/cli/settings.ts";
import type { CommandName } from "../../../src/commands.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import type { OptionRow } from "../../../src/option-kinds.ts";
import { options, sectionOf, variableOf } from "../../../src/options.ts";
import { describe } from "../../support/harness.ts";

const myst = { symbol: "MYST", decimals: 18 };
const noConfig: ConfigFile = { path: "/c/config.json", directory: "/c", values: {} };
const resolve = <C extends CommandName>(command: C, flags: Flags = {}, env: Record<string, string> = {}, values: object = {}) =>
  resolveSettings(command, {
    flags,
    env: { HOME: "/home/a", ...env },
    config: { ...noConfig, values: values as Record<string, unknown> },
    directory: "/cwd",
  });
const refused = (work: () => unknown, code: string, message: RegExp, hint?: RegExp) =>
  assert.throws(
    work,
    (error) => isMystError(error) && error.code === code && message.test(error.message) && (hint?.test(error.hint ?? "") ?? true),
  );

const inFile = (text: string, work: (path: string) => void) => {
  const directory = mkdtempSync(join(tmpdir(), "mystnode-config-"));
  try {
    const path = join(directory, "config.json");
    writeFileSync(path, text);
    work(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

describe("cli/settings: precedence", (test) => {
  test("flag before environment before config file before default, for every kind of place", () => {
    const config = { connect: { country: "FR", exclude: ["cccccc"] }, "log-level": "error", "data-dir": "of-config", json: true };
    const env = {
      MYSTNODE_CONNECT_COUNTRY: "DE",
      MYSTNODE_CONNECT_EXCLUDE: "bbbbbb, dddddd",
      MYSTNODE_LOG_LEVEL: "info",
      MYSTNODE_JSON: "0",
    };
    const flags = { country: "US", exclude: ["aaaaaa"], "log-level": "debug", json: true };
    const seen = (resolved: ReturnType<typeof resolve<"connect">>) => {
      const { country, exclude, logLevel, json } = resolved.settings;
      return [country, exclude, logLevel, json, resolved.sources.country];
    };
    assert.deepEqual(seen(resolve("connect", flags, env, config)), ["US", ["aaaaaa"], "debug", true, "flag"]);
    assert.deepEqual(seen(resolve("connect", {}, env, config)), ["DE", ["bbbbbb", "dddddd"], "info", false, "env"]);
    assert.deepEqual(seen(resolve("connect", {}, {}, config)), ["FR", ["cccccc"], "error", true, "config"]);
    assert.deepEqual(seen(resolve("connect")), [undefined, [], "warn", false, "default"]);
  });

  test("an empty variable is as good as none", () => {
    assert.equal(resolve("connect", {}, { MYSTNODE_CONNECT_COUNTRY: "" }).settings.country, undefined);
  });

  test("one command's variable and section are not another's", () => {
    const { settings } = resolve("serve", {}, { MYSTNODE_CONNECT_COUNTRY: "DE" }, { connect: { city: "Bonn" } });
    assert.deepEqual([settings.country, settings.city], [undefined, undefined]);
  });

  test("what is for one run only comes from a flag and nowhere else", () => {
    assert.equal(resolve("wallet deposit", {}, { MYSTNODE_YES: "1" }, { yes: true }).settings.yes, false);
    assert.equal(resolve("wallet deposit", { yes: true }).settings.yes, true);
  });

  test("paths start from where they are written, home and XDG directories are filled in", () => {
    assert.equal(resolve("status", { "data-dir": "x" }).settings.dataDir, "/cwd/x");
    assert.equal(resolve("status", {}, {}, { "data-dir": "x" }).settings.dataDir, "/c/x");
    assert.equal(resolve("status", { "data-dir": "~/x" }).settings.dataDir, "/home/a/x");
    assert.equal(resolve("status").settings.dataDir, "/home/a/.local/share/mystnode");
    assert.equal(resolve("status", {}, { XDG_DATA_HOME: "/d" }).settings.dataDir, "/d/mystnode");
  });

  test("an amount names its unit; a default is in whatever the network's token is, and never rounds down to nothing", () => {
    const { budget, maxPriceGib, maxPriceHour } = resolve("connect", { budget: "2.5myst" }).settings;
    assert.equal(budget(myst), 25n * 10n ** 17n);
    assert.equal(maxPriceGib({ symbol: "USDC", decimals: 6 }), 200_000n);
    assert.equal(maxPriceHour({ symbol: "X", decimals: 0 }), 1n);
    refused(() => budget({ symbol: "USDC", decimals: 6 }), "BAD_AMOUNT", /pays in USDC/, /0\.1usdc/);
  });
});

describe("cli/settings: what it refuses", (test) => {
  test("a bad value, by its own code and under the name it was written with", () => {
    refused(() => resolve("connect", { country: "UK" }), "BAD_COUNTRY", /'UK'/, /GB/);
    refused(() => resolve("connect", { budget: "5" }), "BAD_AMOUNT", /unit is missing/);
    refused(() => resolve("connect", { budget: "lots" }), "BAD_AMOUNT", /'lots'/);
    refused(() => resolve("serve", { "max-sessions": "0" }), "BAD_VALUE", /^--max-sessions/);
    refused(() => resolve("serve", {}, { MYSTNODE_SERVE_MAX_SESSIONS: "x" }), "BAD_VALUE", /^MYSTNODE_SERVE_MAX_SESSIONS/);
    refused(() => resolve("serve", {}, { MYSTNODE_SERVE_COUNTRY: "XX" }), "BAD_COUNTRY", /^MYSTNODE_SERVE_COUNTRY: 'XX'/);
    refused(() => resolve("serve", {}, {}, { serve: { country: "XX" } }), "BAD_CONFIG_FILE", /^serve\.country in \/c\/config\.json: 'XX'/);
    refused(() => resolve("connect", { discovery: ["gossip", "rumour"] }), "BAD_VALUE", /'rumour'/, /gossip, snapshot, dht/);
  });
});

describe("cli/config-file", (test) => {
  test("reads what the option table allows", () =>
    inFile('{"log-level":"info","serve":{"max-sessions":3,"allow":["192.0.2.1:80"]}}', (path) => {
      const config = readConfigFile(path, true);
      const { settings } = resolveSettings("serve", { flags: {}, env: {}, config, directory: "/cwd" });
      assert.deepEqual([settings.logLevel, settings.maxSessions, settings.allow], ["info", 3, ["192.0.2.1:80"]]);
    }));

  test("an absent file is empty, unless it was named", () => {
    assert.deepEqual(readConfigFile("/nonexistent/config.json", false).values, {});
    refused(() => readConfigFile("/nonexistent/config.json", true), "BAD_CONFIG_FILE", /cannot be read/);
  });

  test("refuses what is not JSON, not an object, unknown, or of another type; and says what was meant", () => {
    const cases: [string, RegExp, RegExp?][] = [
      ["{", /not JSON/],
      ["[]", /expected object/],
      ['{"contry":"US"}', /contry/],
      ['{"log-levl":"info"}', /log-levl/, /'log-level'/],
      ['{"serve":{"contry":"US"}}', /serve.*contry/, /'country'/],
      ['{"json":"yes"}', /json/],
      ['{"log-level":"loud"}', /log-level/],
      ['{"discovery":"gossip"}', /discovery/],
      ['{"dry-run":true}', /dry-run/],
      ['{"config":"x"}', /config/],
    ];
    for (const [text, message, hint] of cases)
      inFile(text, (path) => refused(() => readConfigFile(path, true), "BAD_CONFIG_FILE", message, hint));
  });
});

describe("options", (test) => {
  const rows = options as readonly OptionRow[];
  test("no two options of a command share a name, no two options a variable or a place in the config file", () => {
    for (const [index, row] of rows.entries())
      for (const other of rows.slice(index + 1)) {
        const both = row.commands === "all" || other.commands === "all" || row.commands.some((command) => other.commands.includes(command));
        assert.ok(!(both && row.name === other.name), `--${row.name} twice`);
        const variable = variableOf(row);
        assert.ok(variable === undefined || variable !== variableOf(other), `${variable} twice`);
        assert.ok(row.once || other.once || `${sectionOf(row)}.${row.name}` !== `${sectionOf(other)}.${other.name}`, row.name);
      }
  });

  test("a section of the config file is no option's name, and every default is a value that it would take", () => {
    const top = rows.filter((row) => sectionOf(row) === undefined).map(({ name }) => name);
    for (const row of rows) assert.ok(!top.includes(sectionOf(row) ?? ""), sectionOf(row));
    assert.ok(Object.keys(configSchema().shape).includes("serve"));
    for (const row of rows) for (const command of row.commands === "all" ? (["status"] as const) : row.commands) resolve(command);
  });
});
