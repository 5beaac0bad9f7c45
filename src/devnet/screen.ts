import type { Writable } from "node:stream";

export type Terminal = Writable & { isTTY?: boolean; columns?: number; rows?: number };

export type Screen = {
  /** Draws the lines in the place of those drawn before. */
  draw(lines: string[]): void;
  /** Writes lines that stay; what is drawn goes on below them. */
  print(lines: string[]): void;
};

/** Lines that are drawn again in place. None may be wider than the terminal; what is higher than it is cut from the top. */
export function createScreen(terminal: Terminal): Screen {
  let current: string[] = [];
  const up = () => (current.length > 0 ? `\u001b[${current.length}A\r` : "");
  // each line is cleared behind its end, not before: nothing flickers
  const text = (lines: string[]) => lines.map((line) => `${line}\u001b[K\n`).join("");
  return {
    draw: (lines) => {
      const fitting = lines.slice(-Math.max(1, (terminal.rows ?? 24) - 1));
      if (fitting.join("\n") === current.join("\n")) return;
      terminal.write(`${up()}${text(fitting)}\u001b[J`);
      current = fitting;
    },
    print: (lines) => {
      terminal.write(`${up()}${text([...lines, ...current])}\u001b[J`);
    },
  };
}
