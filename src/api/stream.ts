/** Items pushed in from callbacks, read out in order. What a slow reader has not fetched is bounded: the oldest goes first. */
export function createQueue<T>(max: number): { push(item: T): void; end(error?: unknown): void; items: AsyncIterable<T> } {
  const waiting: T[] = [];
  let ended: { error: unknown } | undefined;
  let wake: () => void = () => undefined;
  async function* items() {
    for (;;) {
      const item = waiting.shift();
      if (item !== undefined) yield item;
      else if (ended?.error !== undefined) throw ended.error;
      else if (ended) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  return {
    push: (item) => {
      if (waiting.push(item) > max) waiting.shift();
      wake();
    },
    end: (error) => {
      ended ??= { error };
      wake();
    },
    items: items(),
  };
}

/** The lines of a text that comes in pieces. A line longer than `maxLength` is an error: it would be kept in memory. */
export async function* lines(body: ReadableStream<Uint8Array>, maxLength = 1_000_000): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream() as never) as unknown as AsyncIterable<string>) {
    const parts = (rest + piece).split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > maxLength) throw new Error("a line of the answer is too long");
    yield* parts.filter((line) => line !== "");
  }
  if (rest !== "") yield rest;
}
