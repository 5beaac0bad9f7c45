import { styleText } from "node:util";
import { formatAmount, formatBytes, formatDuration, type Unit } from "../lib/units.ts";

/** One process of the devnet. What is not known yet is left out. */
export type PeerRow = {
  name: string;
  state: "starting" | "up" | "ended";
  country?: string;
  egress?: string;
  perGiB?: bigint;
  perHour?: bigint;
  /** peers that it is connected to */
  peers?: number;
  sessions?: number;
  /** on chain, base units: an exit's wallet, a consumer's deposit */
  balance?: bigint;
};

/** The demonstration session, from both of its ends. Amounts in base units. */
export type SessionRow = {
  country: string;
  peer: string;
  state: string;
  perGiB: bigint;
  perHour: bigint;
  billedBytes: bigint;
  billedMs: number;
  promises: number;
  promised: bigint;
  budget?: bigint;
  cleared?: bigint;
};

/** The demonstration session's tunnel, as the router on its way sees it. */
export type TunnelRow = { backend: string; routerBytes: bigint; outsidePackets: number };

export type DownloadRow = { doneBytes: number; totalBytes: number; mbps?: number };

/** All that the live view shows: what it looks like follows from this alone. */
export type DevnetState = {
  elapsedMs: number;
  unit: Unit;
  chain?: { chainId: number; block?: number };
  peers: PeerRow[];
  session?: SessionRow;
  download?: DownloadRow;
  tunnel?: TunnelRow;
  /** what has happened, oldest first */
  steps: { atMs: number; text: string }[];
};

/** `height`: where that many rows do not hold everything, older steps are left out (2 are always shown). */
export type ViewOptions = { width: number; color: boolean; height?: number };

type Format = Parameters<typeof styleText>[0];
type Paint = (format: Format, text: string) => string;

const mostSteps = 8;
const fewestSteps = 2;
const dots = { starting: ["yellow", "○"], up: ["green", "●"], ended: ["dim", "○"] } as const;

/** The live view, as lines of at most `width` columns each (40 at least). */
export function renderView(state: DevnetState, options: ViewOptions): string[] {
  const paint: Paint = (format, text) => (options.color ? styleText(format, text, { validateStream: false }) : text);
  const width = Math.max(40, options.width);
  const upper = [...header(state, width, paint), "", ...peerLines(state, width, paint), ...sessionLines(state, width, paint), ""];
  const room = (options.height ?? Number.POSITIVE_INFINITY) - upper.length;
  return [...upper, ...stepLines(state, width, paint, Math.max(fewestSteps, Math.min(mostSteps, room)))];
}

function header(state: DevnetState, width: number, paint: Paint): string[] {
  const chain = state.chain && `chain ${state.chain.chainId}${state.chain.block === undefined ? "" : ` · block ${state.chain.block}`}`;
  const rest = ["everything on this machine", chain, elapsed(state.elapsedMs)].filter(Boolean).join(" · ");
  return [`  ${paint("bold", "mystnode devnet")}  ${paint("dim", fit(rest, width - 19))}`];
}

type Column = { title: string; width: number; right?: true; cell(peer: PeerRow, unit: Unit): string };

const columns: Column[] = [
  { title: "PEER", width: 10, cell: (peer) => peer.name },
  { title: "IN", width: 3, cell: (peer) => peer.country ?? "" },
  { title: "LEAVES FROM", width: 12, cell: (peer) => peer.egress ?? "" },
  { title: "PER GIB", width: 9, right: true, cell: (peer, unit) => (peer.perGiB === undefined ? "" : plain(peer.perGiB, unit)) },
  { title: "PER HOUR", width: 9, right: true, cell: (peer, unit) => (peer.perHour === undefined ? "" : plain(peer.perHour, unit)) },
  { title: "PEERS", width: 6, right: true, cell: (peer) => String(peer.peers ?? "") },
  { title: "SESSIONS", width: 9, right: true, cell: (peer) => String(peer.sessions ?? "") },
  { title: "BALANCE", width: 12, right: true, cell: (peer, unit) => (peer.balance === undefined ? "" : plain(peer.balance, unit)) },
];

function peerLines({ peers, unit }: DevnetState, width: number, paint: Paint): string[] {
  const row = (cell: (column: Column) => string) =>
    fit(
      columns
        .map((column) => pad(cell(column), column.width, column.right))
        .join(" ")
        .trimEnd(),
      width - 2,
    );
  return [
    `  ${paint(
      "dim",
      row((column) => column.title),
    )}`,
    ...peers.map((peer) => {
      const text = row((column) => column.cell(peer, unit));
      const [color, dot] = dots[peer.state];
      return `${paint(color, dot)} ${peer.state === "up" ? text : paint("dim", text)}`;
    }),
    `  ${paint("dim", fit(`prices and balances in ${unit.symbol}`, width - 2))}`,
  ];
}

function sessionLines({ session, download, tunnel, unit }: DevnetState, width: number, paint: Paint): string[] {
  if (!session) return [];
  const facts: [string, string][] = [];
  if (download) facts.push(["traffic", traffic(download, width - 14)]);
  if (tunnel) facts.push(["tunnel", tunnelText(tunnel)]);
  const budget = session.budget === undefined ? "" : ` of at most ${formatAmount(session.budget, unit)}`;
  facts.push(
    ["terms", `${formatAmount(session.perGiB, unit)} per GiB + ${formatAmount(session.perHour, unit)} per hour, prepaid in small steps`],
    ["bought", `${formatBytes(session.billedBytes)} and ${formatDuration(session.billedMs)}`],
    ["promised", `${formatAmount(session.promised, unit, 9)} in ${count(session.promises, "promise")}${budget}`],
    ["cleared", session.cleared === undefined ? "when the session ends" : `${formatAmount(session.cleared, unit, 9)} on chain`],
  );
  const title = `${session.country} …${session.peer.slice(-6)}`;
  return [
    "",
    `  ${paint("bold", "session")}   ${title}  ${paint("cyan", fit(session.state.toLowerCase(), width - 16 - title.length))}`,
    ...facts.map(([name, text]) => `  ${paint("dim", name.padEnd(9))} ${fit(text, width - 12)}`),
  ];
}

const tunnelText = ({ backend, routerBytes, outsidePackets }: TunnelRow): string =>
  `${backend}; the router saw ${formatBytes(routerBytes)} of it, ${count(outsidePackets, "packet")} outside`;

function traffic(download: DownloadRow, width: number): string {
  const share = download.totalBytes === 0 ? 1 : Math.min(1, download.doneBytes / download.totalBytes);
  const speed = download.mbps === undefined ? "" : `  ${download.mbps.toFixed(0)} Mbit/s`;
  const figures = `${formatBytes(BigInt(download.doneBytes))} of ${formatBytes(BigInt(download.totalBytes))}${speed}`;
  const length = Math.min(28, width - figures.length - 2);
  if (length < 5) return figures;
  const done = Math.round(share * length);
  return `${"━".repeat(done)}${"╌".repeat(length - done)}  ${figures}`;
}

function stepLines({ steps }: DevnetState, width: number, paint: Paint, shown: number): string[] {
  return steps.slice(-shown).map((step) => `  ${paint("dim", pad(formatDuration(step.atMs), 9))} ${fit(step.text, width - 12)}`);
}

const elapsed = (ms: number): string => (ms < 60_000 ? `${Math.floor(ms / 1000)} s` : formatDuration(ms));
/** an amount without its unit, cut to what fits a column */
const plain = (amount: bigint, unit: Unit): string => formatAmount(amount, unit, 6).split(" ")[0] ?? "";
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;
const fit = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`);
const pad = (text: string, width: number, right?: boolean): string => {
  const cut = fit(text, width);
  return right ? cut.padStart(width) : cut.padEnd(width);
};
