/** What one test file tells the runner in the last line of its output. */
export type Count = { passed: number; failed: number; skipped: number };

const mark = "#count ";

export const countLine = (count: Count): string => `${mark}${JSON.stringify(count)}\n`;

/** The count in a file's output, if it got so far as to print one. */
export function readCount(output: string): Count | undefined {
  const line = output.split("\n").findLast((text) => text.startsWith(mark));
  return line ? (JSON.parse(line.slice(mark.length)) as Count) : undefined;
}
