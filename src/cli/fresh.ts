import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Chain } from "../chain/chain.ts";
import { createChain } from "../chain/client.ts";
import { keystoreFile } from "../identity/open.ts";
import { systemClock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { type ErrorCode, MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { formatAmount } from "../lib/units.ts";
import { freshDirectory, periodsIn } from "./connected.ts";
import type { Context } from "./context.ts";
import { remembered } from "./hosting.ts";

/** Of the period that a moment is in, by when that began: 20250601T0000Z-7d. The same for everybody, so that a beginning tells nobody apart. */
export function periodName(nowMs: number, periodMs: number): string {
  const begin = new Date(Math.floor(nowMs / periodMs) * periodMs).toISOString().replace(/[-:]/g, "").slice(0, 13);
  return `${begin}Z-${Math.round(periodMs / 3_600_000)}h`;
}

const leastPeriodMs = 3_600_000;

/**
 * The data directory to connect from: that of this period, with a key of its own and `budget` at least on deposit. What is left of earlier ones is
 * closed, and taken out three days later.
 * @throws BAD_VALUE for a period under an hour, INSUFFICIENT_FUNDS and whatever else a deposit fails with, RPC_UNREACHABLE
 */
export async function freshDataDir(context: Context<"connect">, network: NetworkConfig, periodMs: number): Promise<string> {
  const { settings, out } = context;
  if (periodMs < leastPeriodMs)
    throw new MystError("BAD_VALUE", "--fresh-identity: a key takes a deposit of its own, so it is to last an hour at least", {
      hint: "give it longer, for example --fresh-identity 7d",
    });
  const name = periodName(Date.now(), periodMs);
  const dataDir = join(freshDirectory(settings.dataDir), name);
  const chain = createChain({
    network,
    log: await context.log(),
    clock: systemClock,
    ...(settings.rpc !== undefined && { rpc: settings.rpc }),
  });
  await windUpOthers(context, chain.account, name);
  const known = await addressIn(dataDir);
  const account = known && (await chain.account(known));
  const budget = settings.budget(network.token);
  if (account && account.line > 0n && account.balance >= budget) return dataDir;
  const own = (await command(context, settings.dataDir, ["identity"])).address as Hex;
  const signer = (await command(context, dataDir, ["init"])).address as Hex;
  const missing = larger(budget - (account?.balance ?? 0n), account?.line ? 0n : network.minDeposit);
  out.progress(`a key for this period: ${signer}; depositing ${formatAmount(missing, network.token)} for it`);
  const consent = account?.line ? [] : ["--consent", (await command(context, dataDir, ["wallet", "consent", own])).consent as string];
  const amount = formatAmount(missing, network.token).replace(" ", "").toLowerCase();
  await command(context, settings.dataDir, ["wallet", "deposit", amount, "--for", signer, ...consent, "--yes"]);
  return dataDir;
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** Closes the accounts of earlier periods, and takes out what may be taken out; what has nothing left goes. */
async function windUpOthers(context: Context<"connect">, read: Chain["account"], name: string): Promise<void> {
  const { settings, out } = context;
  const directory = freshDirectory(settings.dataDir);
  for (const other of await periodsIn(settings.dataDir)) {
    if (other === name) continue;
    const signer = await addressIn(join(directory, other));
    const account = signer && (await read(signer));
    const left = account ? account.balance + account.bond : 0n;
    if (!signer || !account || left === 0n) {
      await rm(join(directory, other), { recursive: true, force: true });
      continue;
    }
    const isDue = account.closeAtMs !== undefined && account.closeAtMs <= Date.now();
    if (account.closeAtMs !== undefined && !isDue) continue;
    const verb = isDue ? "withdraw" : "close";
    out.progress(`${isDue ? "taking out what is left for" : "closing the account of"} an earlier period's key: ${signer}`);
    await command(context, settings.dataDir, ["wallet", verb, "--for", signer, "--yes"]).catch((error) => out.warn(String(error.message)));
  }
}

async function addressIn(dataDir: string): Promise<Hex | undefined> {
  const text = await readFile(keystoreFile(dataDir), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  return `0x${String((JSON.parse(text) as { address?: string }).address)}`;
}

/** Runs another command of this program, for a data directory, to its end; what it prints for programs. @throws the error that it tells of */
async function command(context: Context<"connect">, dataDir: string, args: string[]): Promise<Record<string, unknown>> {
  const { network, passwordFile, rpc } = context.settings;
  const options = {
    "--data-dir": dataDir,
    "--network": network ?? remembered(context.settings.dataDir),
    ...(passwordFile !== undefined && { "--password-file": passwordFile }),
    ...(rpc !== undefined && !/^(init|identity)$/.test(args[0] ?? "") && { "--rpc": rpc }),
  };
  const child = spawn(process.execPath, [process.argv[1] ?? "", ...args, "--json", "--quiet", ...Object.entries(options).flat()], {
    stdio: ["inherit", "pipe", "ignore"],
    signal: context.interrupts.signal,
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  await once(child, "close");
  const last = JSON.parse(text.trimEnd().split("\n").at(-1) || "{}") as Record<string, unknown>;
  const error = last.error as { code: ErrorCode; message: string; hint?: string } | undefined;
  if (error) throw new MystError(error.code, error.message, error.hint === undefined ? {} : { hint: error.hint });
  return last;
}
