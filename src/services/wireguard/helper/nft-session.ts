import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { z } from "zod";
import { MystError } from "../../../lib/errors.ts";
import { toolMissing, toolPath } from "../backend/run-tool.ts";

/** The quotas of one nft table, through one `nft` that stays: a change takes a line of text instead of a process. */
export type NftSession = {
  /**
   * What each has counted so far, in bytes, and its limit. A quota counts what it drops, too, but the kernel tells no more than the
   * limit (`nft_quota_do_dump`): where the two are equal, what it has counted is not known.
   */
  used(names: string[]): Promise<Map<string, { used: bigint; limit: bigint }>>;
  /** New limits for existing quotas; what they have counted stays. */
  limit(limits: Map<string, bigint>): Promise<void>;
  /** Lets nothing pass any more, and forgets what was counted. */
  empty(names: string[]): Promise<void>;
  close(): void;
};

const listed = z.object({
  nftables: z.array(z.object({ quota: z.object({ name: z.string(), bytes: z.number(), used: z.number() }).optional() })),
});
type Quota = { name: string; bytes: number; used: number };
type Ask = { lines: number; answers: string[]; resolve(quotas: Quota[]): void; reject(error: unknown): void; late: NodeJS.Timeout };

const answerMs = 3000;
/** up to so many are asked for one by one: the whole table's list takes longer */
const fewMax = 6;
const perLine = 100;

/** Its `nft` starts with the first question, and again after a failure; it ends with us, since its input does. */
export function createNftSession(table: string): NftSession {
  let child: ChildProcessWithoutNullStreams | undefined;
  const asks: Ask[] = [];

  const fail = (error: MystError) => {
    const old = child;
    child = undefined;
    old?.kill("SIGKILL");
    for (const { reject, late } of asks.splice(0)) {
      clearTimeout(late);
      reject(error);
    }
  };
  const start = (): ChildProcessWithoutNullStreams => {
    const nft = spawn("nft", ["-j", "-i"], { env: { PATH: toolPath, LC_ALL: "C", HOME: "/" }, stdio: ["pipe", "pipe", "pipe"] });
    const failing = (why: string) => {
      if (child === nft) fail(new MystError("INTERNAL", `nft: ${why}`.slice(0, 300)));
    };
    let buffer = "";
    nft.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      buffer += chunk;
      if (!chunk.includes("\n")) return;
      const lines = buffer.split("\n");
      buffer = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("{")) onAnswer(line);
    });
    nft.stderr.setEncoding("utf8").on("data", (chunk: string) => failing(chunk.split("\n")[0] ?? ""));
    nft.stdin.on("error", () => undefined);
    nft.once("error", (cause: NodeJS.ErrnoException) => {
      if (child === nft) fail(cause.code === "ENOENT" ? toolMissing("nft") : new MystError("INTERNAL", "cannot run nft", { cause }));
    });
    nft.once("exit", (status, signal) => failing(`ended (${signal ?? status})`));
    return nft;
  };
  const onAnswer = (line: string) => {
    const ask = asks[0];
    if (!ask) return;
    ask.answers.push(line);
    if (ask.answers.length < ask.lines) return;
    asks.shift();
    clearTimeout(ask.late);
    try {
      ask.resolve(ask.answers.flatMap((text) => listed.parse(JSON.parse(text)).nftables.flatMap(({ quota }) => (quota ? [quota] : []))));
    } catch (cause) {
      ask.reject(new MystError("INTERNAL", "nft gave an answer that is not understood", { cause }));
    }
  };
  const ask = (commands: string[], lines: number): Promise<Quota[]> =>
    new Promise((resolve, reject) => {
      child ??= start();
      const late = setTimeout(() => fail(new MystError("INTERNAL", `nft did not answer within ${answerMs} ms`)), answerMs);
      asks.push({ lines, answers: [], resolve, reject, late });
      child.stdin.write(`${commands.join("\n")}\n`);
    });
  const name = (quota: string) => `quota inet ${table} ${quota}`;
  /** as few lines as may be: each is a transaction */
  const set = (limits: [string, bigint][]): string[] =>
    inGroups(limits).map((group) => group.map(([quota, bytes]) => `add ${name(quota)} { over ${bytes} bytes; }`).join("; "));

  return {
    used: async (names) => {
      if (names.length === 0) return new Map();
      const few = names.length <= fewMax;
      const quotas = await ask(
        few ? names.map((quota) => `list ${name(quota)}`) : [`list quotas table inet ${table}`],
        few ? names.length : 1,
      );
      return new Map(quotas.map((quota) => [quota.name, { used: BigInt(quota.used), limit: BigInt(quota.bytes) }]));
    },
    limit: async (limits) => {
      const [last, bytes] = [...limits].at(-1) ?? [];
      if (last === undefined) return;
      // the last one's listing tells that all before it have been done
      const [quota] = await ask([...set([...limits]), `list ${name(last)}`], 1);
      if (quota?.name !== last || BigInt(quota.bytes) !== bytes) throw new MystError("INTERNAL", "nft did not take a new limit");
    },
    empty: async (names) => {
      if (names.length === 0) return;
      // closed first: an old limit on a quota that has counted nothing would be that much for free
      const commands = [...set(names.map((quota) => [quota, 0n])), ...names.map((quota) => `reset ${name(quota)}`)];
      const quotas = await ask(commands, names.length);
      if (quotas.some(({ bytes }) => bytes !== 0)) throw new MystError("INTERNAL", "nft did not close a quota");
    },
    close: () => fail(new MystError("INTERNAL", "nft was ended")),
  };
}

const inGroups = <T>(list: T[]): T[][] =>
  Array.from({ length: Math.ceil(list.length / perLine) }, (_, i) => list.slice(i * perLine, (i + 1) * perLine));
