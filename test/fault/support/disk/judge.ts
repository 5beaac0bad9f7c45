import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ownProgram } from "../../../../src/devnet/processes.ts";
import type { Part } from "../market.ts";

/** How a start has ended: `status` undefined while the process runs. */
export type Started = { status: number | NodeJS.Signals | undefined; said: string };

/** Starts a node, and waits until it is up or has ended. */
export async function tryStart(part: Part, program?: readonly string[]): Promise<Started> {
  const log = join(part.dataDir, "node.log");
  const from = (await stat(log).catch(() => undefined))?.size ?? 0;
  const said = async () => (await readFile(log).catch(() => Buffer.alloc(0))).subarray(from).toString();
  try {
    await part.start(program);
    return { status: undefined, said: await said() };
  } catch (error) {
    if (!/ended \(/.test((error as Error).message)) throw error;
    return { status: await part.process().ended, said: await said() };
  }
}

/** What is wrong with how a node refuses to start: it says why and what to do, by a code and a hint, and ends as one does that has failed. */
export function refusal({ status, said }: Started): string[] {
  const problems: string[] = [];
  if (typeof status !== "number" || status === 0) problems.push(`it ended with ${status}`);
  if (!/^error \[[A-Z_]+\] \S.*$/m.test(said)) problems.push("it told no error");
  if (!/^ {2}hint: \S.*$/m.test(said)) problems.push("it told nothing that helps");
  if (/^\s+at .*:\d+:\d+\)?$/m.test(said) || /Assertion .*failed/.test(said)) problems.push("it told where in its source it failed");
  if (/error \[INTERNAL\]/.test(said)) problems.push("it does not know what is wrong");
  return problems.map((problem) => `${problem}: ${said.trim().split("\n").slice(-6).join(" | ")}`);
}

export const codeIn = ({ said }: Started): string | undefined => /^error \[([A-Z_]+)\]/m.exec(said)?.[1];

/** What others count on and this ledger has no more, where nobody was told. */
export const lostSilently = (had: bigint, has: bigint, said: string): string[] =>
  has >= had || /is a copy|writes of this database are lost/.test(said) ? [] : [`lost silently: ${had} was acknowledged, ${has} is held`];

export type DoctorLine = { name: string; state: string; found: string; remedy?: string };

/** The line on the database that `mystnode doctor` has, of a directory that no node runs on. */
export async function doctorOn(dataDir: string, tries = 3): Promise<DoctorLine | undefined> {
  const { stdout } = await cli(["doctor", "--json", "--listen", "127.0.0.1:0", "--data-dir", dataDir]);
  const { checks } = JSON.parse(stdout) as { checks: DoctorLine[] };
  const line = checks.find(({ name }) => name === "database");
  // it gives each look ten seconds, which is little on a machine that does much else
  return line && /PEER_TIMEOUT/.test(line.found) && tries > 1 ? doctorOn(dataDir, tries - 1) : line;
}

/** Runs the command line to its end. */
export function cli(args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const [file = "", ...rest] = ownProgram;
  return new Promise((resolve) =>
    execFile(file, [...rest, ...args], { timeout: 60_000, env: { ...process.env, NO_COLOR: "1" } }, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    ),
  );
}
