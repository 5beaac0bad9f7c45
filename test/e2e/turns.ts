import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ErrorCode } from "../../src/lib/errors.ts";
import { type Place, runCli, startCli } from "../support/processes.ts";

/** A mistake that people make, and how it must end. */
export type Turn = {
  name: string;
  /** of the command line; `$` in front of a word stands for the place's root */
  line: string;
  /** files that are there before, by their path below the place's root */
  files?: Record<string, string>;
  env?: Record<string, string>;
  code: ErrorCode;
  status: number;
  /** what the hint must name: the next command or flag, or the right way to write it */
  hint: RegExp;
};

/** nobody answers at this RPC */
export const networkJson = {
  v: 1,
  name: "nowhere",
  chainId: 31337,
  rpc: ["http://127.0.0.1:9"],
  contract: `0x${"11".repeat(20)}`,
  startBlock: 0,
  confirmations: 0,
  token: { address: `0x${"22".repeat(20)}`, symbol: "MYST", decimals: 18 },
  bootstrap: [] as string[],
  protocolPrefix: "/mystnode/nowhere",
  minDeposit: "1000000000000000000",
  minBond: "1000000000000000000",
};
export const network = (change: object = {}) => JSON.stringify({ ...networkJson, ...change });

/** The words of a line, with the place's data directory unless the line names one. */
export const words = (place: Place, line: string): string[] => {
  const split = line
    .split(" ")
    .filter(Boolean)
    .map((word) => word.replace("$", `${place.root}/`));
  return split.includes("--data-dir") ? split : [...split, "--data-dir", place.dataDir];
};

export function write(place: Place, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(place.root, path, ".."), { recursive: true });
    writeFileSync(join(place.root, path), text, { mode: 0o600 });
  }
}

/** Takes the wrong turn as a real process, and asserts its code, its hint and its status, for people and for programs. */
export async function take(place: Place, { line, files = {}, env = {}, code, status, hint }: Turn): Promise<void> {
  write(place, files);
  const ended = await runCli([...words(place, line), "--json"], { root: place.root, env: { ...place.env, ...env } });
  const shown = `mystnode ${line}\n${ended.stdout}${ended.stderr}`;
  const last = ended.stdout.trimEnd().split("\n").at(-1) ?? "";
  assert.match(last, /^\{"v":1,"error":\{/, shown);
  const { error } = JSON.parse(last);
  assert.equal(error.code, code, shown);
  assert.equal(ended.status, status, shown);
  assert.match(error.hint ?? "", hint, shown);
  assert.ok(ended.stderr.includes(`error [${code}] `), shown);
  assert.ok(ended.stderr.includes("\n  hint: "), shown);
  assert.ok(!/ at .*:\d+:\d+/.test(ended.stderr), `no stack: ${shown}`);
}

/** A node that serves until the end of `work`. */
export async function whileServing(
  place: Place,
  line: string,
  work: (running: ReturnType<typeof startCli>) => Promise<void>,
): Promise<void> {
  const running = startCli([...words(place, line), "--json"], place);
  try {
    await running.said(/"type":"serving"/);
    await work(running);
  } finally {
    running.child.kill("SIGTERM");
    await running.ended;
  }
}
