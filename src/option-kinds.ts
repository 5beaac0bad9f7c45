import type { CommandName } from "./commands.ts";
import type { Hex } from "./lib/codec.ts";
import type { Schedule } from "./lib/schedule.ts";
import type { Unit } from "./lib/units.ts";

/** Amounts name their unit, which only the network knows: a setting of kind `amount` is a function of it, giving base units. */
export type AmountSetting = (unit: Unit) => bigint;

/** What a value looks like: how it is written (cli/values.ts reads and checks it), and the type of the setting. */
export type Kinds = {
  string: string;
  /** ISO 3166-1 alpha-2, upper case */
  country: string;
  amount: AmountSetting;
  integer: number;
  /** hundredths of a percent, from "1.5%" */
  percent: number;
  flag: boolean;
  /** made absolute; `~/`, $XDG_DATA_HOME and $XDG_CONFIG_HOME are filled in */
  path: string;
  /** ms, from "24h" */
  duration: number;
  /** bytes, from "64MiB" */
  size: bigint;
  /** times of the week, from "mon-fri 18:00-23:30" */
  hours: Schedule;
  /** bits a second, from "20Mbit" */
  speed: number;
  choice: string;
  /** http or https */
  url: string;
  /** peer id, or the last 6 characters of one or more */
  peer: string;
  /** 0x and 40 hex digits, lower case */
  account: Hex;
  /** IP address */
  ip: string;
  /** IP address or name, and port */
  hostport: string;
  /** multiaddr to listen on; host:port is turned into one */
  listen: string;
  /** multiaddr that ends in /p2p/<peer id> */
  invite: string;
  /** IP address or range, with or without a port */
  destination: string;
  /** IPv4 address or range */
  network: string;
  /** from 0 to 1 */
  share: number;
  /** of UDP or TCP; 0 is any that is free */
  port: number;
  /** several, or none */
  ports: number[];
  /** name of a network interface */
  interface: string;
};
export type OptionKind = keyof Kinds;

type OptionSpec = {
  /** without its dashes */
  name: string;
  kind: OptionKind;
  help: string;
  /** may be given several times, or several separated by commas; an array in the config file */
  list?: true;
  choices?: readonly string[];
  /** as a person would type it; an amount without a unit is in the network's token */
  default?: string;
  /** makes sense for one run only: no environment variable, no place in the config file */
  once?: true;
};
export type OptionRow = OptionSpec & { commands: "all" | readonly CommandName[]; group?: string };

/** Rows of the option table that the same commands have. */
export const of = <const C extends OptionRow["commands"], const R extends readonly OptionSpec[]>(commands: C, group: string, rows: R) =>
  rows.map((row) => ({ ...row, commands, group })) as unknown as { -readonly [I in keyof R]: R[I] & { commands: C; group: string } };
