import { inspect } from "node:util";
import { suite } from "uvu";
import { type Count, countLine } from "./count.ts";

/** Registers one test. It fails when `fn` throws, or has not ended after `timeoutMs` (default 30 s). */
export type RegisterTest = (name: string, fn: () => void | Promise<void>, options?: { timeoutMs?: number; skip?: string | false }) => void;

export type Hooks = {
  /** runs once before the suite's tests; when it throws, or takes over `timeoutMs` (default 60 s), every one of them fails */
  before(fn: () => void | Promise<void>, options?: { timeoutMs?: number }): void;
  /** runs once after the suite's tests, whatever became of them */
  after(fn: () => void | Promise<void>, options?: { timeoutMs?: number }): void;
};

const defaultTimeoutMs = 30_000;
/** how long a file may keep its process alive after its last test */
const lingerMs = 3_000;
const count: Count = { passed: 0, failed: 0, skipped: 0 };
let pendingSuites = 0;

/**
 * A suite of tests that runs itself. uvu alone passes where a file ran no test or a hook threw, and knows no time-outs;
 * here each of these fails, and so does a file that leaves something open behind its last test.
 */
export function describe(name: string, define: (test: RegisterTest, hooks: Hooks) => void): void {
  const tests = suite(name);
  const befores: (() => Promise<void>)[] = [];
  const afters: (() => Promise<void>)[] = [];
  let ready: Promise<void> | undefined;
  let total = 0;
  const prepare = async () => {
    for (const before of befores) await before();
  };
  const register: RegisterTest = (title, fn, { timeoutMs = defaultTimeoutMs, skip } = {}) => {
    total += 1;
    if (skip) {
      count.skipped += 1;
      tests.skip(title);
      console.log(`skipped: ${name}: ${title}: ${skip}`);
      return;
    }
    tests(title, async () => {
      try {
        ready ??= prepare();
        await ready;
        await timed(fn, timeoutMs, "test");
        count.passed += 1;
      } catch (error) {
        count.failed += 1;
        throw readable(error);
      }
    });
  };
  define(register, {
    before: (fn, { timeoutMs = 2 * defaultTimeoutMs } = {}) => befores.push(() => timed(fn, timeoutMs, "before")),
    after: (fn, { timeoutMs = 2 * defaultTimeoutMs } = {}) => afters.push(() => timed(fn, timeoutMs, "after")),
  });
  if (total === 0) {
    count.failed += 1;
    console.log(`FAIL ${name}: no test in this suite`);
  }
  pendingSuites += 1;
  tests.after(async () => {
    for (const after of ready ? afters : []) {
      try {
        await after();
      } catch (error) {
        count.failed += 1;
        console.log(`\nFAIL ${name}: after: ${inspect(error)}`);
      }
    }
    pendingSuites -= 1;
    if (pendingSuites === 0) setTimeout(lingered, lingerMs).unref();
  });
  tests.run();
}

async function timed(fn: () => void | Promise<void>, timeoutMs: number, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([fn(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** uvu's own diff cannot print a bigint and knows neither codes nor causes. */
function readable(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(`thrown: ${inspect(thrown)}`);
  const { code, hint, cause } = thrown as Error & { code?: unknown; hint?: unknown };
  const lines = [`${thrown.name}: ${thrown.message}`];
  if (typeof code === "string" && code !== "ERR_ASSERTION") lines.push(`code: ${code}`);
  if (typeof hint === "string") lines.push(`hint: ${hint}`);
  if (cause !== undefined) lines.push(`cause: ${inspect(cause)}`);
  if (thrown instanceof AggregateError) lines.push(...thrown.errors.map((error) => inspect(error)));
  const shown = new Error(lines.join("\n    "));
  const frames = (thrown.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  shown.stack = ["", ...frames].join("\n");
  return shown;
}

function lingered(): void {
  count.failed += 1;
  console.log(`FAIL still open after the last test: ${process.getActiveResourcesInfo().join(", ")}`);
  process.exit(1);
}

process.on("exit", (status) => {
  if (count.passed + count.failed + count.skipped === 0) {
    count.failed += 1;
    console.log("FAIL no test ran");
  }
  if (status === 0 && count.failed > 0) process.exitCode = 1;
  process.stdout.write(countLine(count));
});
