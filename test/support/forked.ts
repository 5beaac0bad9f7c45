import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A process of its own that answers what it is asked. */
export type Forked<Question, Answer> = AsyncDisposable & {
  pid: number;
  /** @throws when it has ended, or says that it could not */
  ask(question: Question): Promise<Answer>;
  /** kill -9 */
  kill(): Promise<void>;
};

type Asked<Question> = { id: number; question: Question };
type Told<Answer> = { id: number; answer?: Answer; error?: string };

/** Starts `program`, which calls `answerParent`; its bytes and bigints arrive as they are. It ends with this process. */
export function startForked<Question, Answer>(program: string, execArgv: string[] = []): Forked<Question, Answer> {
  const child: ChildProcess = fork(program, { execArgv, stdio: ["ignore", "ignore", "inherit", "ipc"], serialization: "advanced" });
  const gone = once(child, "exit");
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  let isGone = false;
  void gone.then(() => {
    isGone = true;
    for (const { reject } of waiting.values()) reject(new Error(`${program} has ended`));
  });
  child.on("message", ({ id, answer, error }: Told<Answer>) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(answer as Answer);
    else asked?.reject(new Error(error));
  });
  let ids = 0;
  const kill = async () => {
    child.kill("SIGKILL");
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    ask: (question) =>
      new Promise((resolve, reject) => {
        if (isGone) return reject(new Error(`${program} has ended`));
        ids += 1;
        waiting.set(ids, { resolve, reject });
        child.send({ id: ids, question } satisfies Asked<Question>);
      }),
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/** The other side: answers each question, and ends when the parent is gone. */
export function answerParent<Question, Answer>(answerer: (question: Question) => Promise<Answer>): void {
  process.on("disconnect", () => process.exit(0));
  process.on("message", async ({ id, question }: Asked<Question>) => {
    let told: Told<Answer>;
    try {
      told = { id, answer: await answerer(question) };
    } catch (error) {
      told = { id, error: String((error as Error).stack ?? error) };
    }
    if (process.connected) process.send?.(told);
  });
}
