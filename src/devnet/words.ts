import { homedir } from "node:os";
import { basename, isAbsolute, relative } from "node:path";
import { formatAmount, formatBytes, formatDuration, type Unit } from "../lib/units.ts";
import type { CycleReport } from "./report.ts";

/** How this program was called, for lines that are typed in another terminal. */
export function commandName(script = process.argv[1] ?? "mystnode", directory = process.cwd()): string {
  if (basename(script) === "mystnode") return /[\\/]node_modules[\\/]/.test(script) ? "npx mystnode" : "mystnode";
  const near = relative(directory, script);
  return `node ${near.startsWith("..") || isAbsolute(near) ? shellPath(script) : near}`;
}

/** A path as a person would type it: below the home directory with ~. */
export function shellPath(path: string, home = homedir()): string {
  const quoted = (text: string) => (/^[\w@%+=:,./-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
  return path.startsWith(`${home}/`) ? `~/${quoted(path.slice(home.length + 1))}` : quoted(path);
}

/** What a cycle showed, for people. */
export function summaryLines(report: CycleReport, unit: Unit): string[] {
  const amount = (text: string) => formatAmount(BigInt(text), unit);
  return [
    `found      an exit in ${report.country} by ${report.sources.join(", ")}`,
    `connected  in ${formatDuration(report.connectMs)}, first byte after ${formatDuration(report.firstByteMs)}`,
    `seen as    ${report.addressSeen} (without the exit: ${report.directAddress})`,
    `carried    ${formatBytes(BigInt(report.payloadBytes))} at ${report.mbps} Mbit/s`,
    ...(report.routerBytes === undefined ? [] : [tunnelLine(report, report.routerBytes)]),
    `bought     ${formatBytes(BigInt(report.billedBytes))} and ${formatDuration(report.elapsedMs)} in ${report.promises} promises`,
    `promised   ${amount(report.promised)}`,
    `cleared    ${amount(report.cleared)}`,
    `received   ${amount(report.providerReceived)} by the exit, on chain`,
  ];
}

const tunnelLine = ({ backend, outsidePackets }: CycleReport, routerBytes: string): string =>
  `tunnel     by ${backend}: the router saw ${formatBytes(BigInt(routerBytes))} of it, and ${outsidePackets} packets outside`;

/** What to type next, in another terminal, where each peer has a machine of its own as far as the network goes. */
export function shellLines(to: { command: string; dataDir?: string; other: string; webUrl: string; sudo: boolean }): string[] {
  const shell = [to.sudo ? "sudo" : "", to.command, "devnet shell", to.dataDir === undefined ? "" : `--data-dir ${shellPath(to.dataDir)}`];
  return [
    "  What to try next, in another terminal: a shell on the guest's machine.",
    "",
    `    ${shell.filter(Boolean).join(" ")}`,
    `    curl ${to.webUrl}`,
    `    ${to.command} connect --country ${to.other}`,
    "",
    "  and, while that is connected, in such a shell in a third one, to be seen",
    "  as the exit:",
    "",
    `    curl ${to.webUrl}`,
    `    ${to.command} status`,
    `    ${to.command} disconnect`,
    `    ${to.command} wallet`,
    "",
    "  Ctrl-C here ends it all; started again, it goes on where it was.",
  ];
}

/** What to type next, in another terminal, where all is on loopback. `guest` is a data directory with a deposit that remembers the network. */
export function nextLines(to: { command: string; guest: string; webUrl: string; other: string }): string[] {
  const { command, webUrl } = to;
  return [
    "  What to try next, in another terminal:",
    "",
    `    export MYSTNODE_DATA_DIR=${shellPath(to.guest)}`,
    `    ${command} connect --country ${to.other}`,
    "",
    "  and, while that is connected, in a third one, to be seen as the exit:",
    "",
    `    export MYSTNODE_DATA_DIR=${shellPath(to.guest)}`,
    `    curl --proxy socks5h://127.0.0.1:1080 ${webUrl}`,
    `    ${command} exits`,
    `    ${command} disconnect`,
    `    ${command} wallet`,
    "",
    "  Ctrl-C here ends it all; started again, it goes on where it was.",
  ];
}
