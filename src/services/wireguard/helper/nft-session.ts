import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { z } from "zod";
import { MystError } from "../../../lib/errors.ts";
import { toolMissing, toolPath } from "../backend/run-tool.ts";

/** The quotas of one nft table, through one `nft` that stays: a change takes a line of text instead of a process. */
export type NftSession = {
  /** What each has let through and dropped so far, in bytes. */
  used(names: string[]): Promise<Map<string, bigint>>;
  /** New limits for existing quotas; what they have counted stays. */
  limit(limits: Map<string, bigint>): Promise<void>;
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
  const listOne = (name: string) => `list quota inet ${table} ${name}`;

  return {
    used: async (names) => {
      if (names.length === 0) return new Map();
      const few = names.length <= fewMax;
      const quotas = await ask(few ? names.map(listOne) : [`list quotas table inet ${table}`], few ? names.length : 1);
      return new Map(quotas.map(({ name, used }) => [name, BigInt(used)]));
    },
    limit: async (limits) => {
      const changes = [...limits].map(([name, bytes]) => `add quota inet ${table} ${name} { over ${bytes} bytes; }`);
      if (changes.length === 0) return;
      const lines = Array.from({ length: Math.ceil(changes.length / perLine) }, (_, i) =>
        changes.slice(i * perLine, (i + 1) * perLine).join("; "),
      );
      // the last one's listing tells that all before it have been done
      const [name = "", bytes] = [...limits].at(-1) ?? [];
      const [quota] = await ask([...lines, listOne(name)], 1);
      if (quota?.name !== name || BigInt(quota.bytes) !== bytes) throw new MystError("INTERNAL", "nft did not take a new limit");
    },
    close: () => fail(new MystError("INTERNAL", "nft was ended")),
  };
}
