import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { WriteStream } from "node:tty";
import { facts, fit, printable, table } from "../../../src/cli/format.ts";
import { causes, createOutput } from "../../../src/cli/output.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

/** A terminal that keeps what it shows: newlines, returns, wrapping, and the two escape sequences that are written to it. */
function terminal(columns: number) {
  let rows: string[] = [""];
  let row = 0;
  let column = 0;
  const put = (character: string) => {
    if (column === stream.columns) {
      row += 1;
      column = 0;
    }
    rows[row] = `${(rows[row] ?? "").padEnd(column).slice(0, column)}${character}${(rows[row] ?? "").slice(column + 1)}`;
    column += 1;
  };
  const write = (text: string) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it takes escape sequences apart
    for (const [part, , count, code] of text.matchAll(/(\u001b\[(\d*)([A-Zm]))|./gsu)) {
      if (code === "A") row = Math.max(0, row - Number(count));
      else if (code === "J") rows = [...rows.slice(0, row), (rows[row] ?? "").slice(0, column)];
      else if (code !== undefined) continue;
      else if (part === "\n") {
        row += 1;
        column = 0;
        rows[row] ??= "";
      } else if (part === "\r") column = 0;
      else put(part);
    }
  };
  const stream = Object.assign(new Writable({ write: (chunk, _, done) => done(void write(String(chunk))) }), { isTTY: true, columns });
  return {
    stream,
    shown: () => rows.map((line) => line.trimEnd()).filter(Boolean),
    /** as a terminal does it that wraps what has become too long */
    resize: (width: number) => {
      rows = rows.flatMap((line) => (line.length <= width ? [line] : (line.match(new RegExp(`.{1,${width}}`, "g")) ?? [])));
      row = rows.length - 1;
      column = rows[row]?.length ?? 0;
      stream.columns = width;
      stream.emit("resize");
    },
  };
}
const file = () => {
  const pieces: string[] = [];
  return { stream: new Writable({ write: (chunk, _, done) => done(void pieces.push(String(chunk))) }), text: () => pieces.join("") };
};
const outputTo = (stderr: Writable, options: { json?: boolean; quiet?: boolean } = {}) => {
  const stdout = file();
  return { stdout, out: createOutput({ json: false, quiet: false, color: false, ...options, stdout: stdout.stream, stderr }) };
};

describe("cli/output: live line", (test) => {
  test("is drawn again in place, below what is told meanwhile", () => {
    const screen = terminal(80);
    const { out } = outputTo(screen.stream);
    out.progress("one");
    out.live("1 MiB");
    out.live("2");
    out.progress("two");
    assert.deepEqual(screen.shown(), ["one", "two", "2"]);
    out.endLive();
    out.progress("three");
    assert.deepEqual(screen.shown(), ["one", "two", "2", "three"]);
  });

  test("never fills the last column, is cut at 80, and leaves nothing behind when the terminal gets narrower or wider", () => {
    const screen = terminal(200);
    const { out } = outputTo(screen.stream);
    out.progress("above");
    out.live("x".repeat(150));
    assert.deepEqual(screen.shown(), ["above", `${"x".repeat(78)}…`]);
    screen.resize(30);
    assert.deepEqual(screen.shown(), ["above", `${"x".repeat(28)}…`]);
    screen.resize(60);
    assert.deepEqual(screen.shown(), ["above", `${"x".repeat(58)}…`]);
  });

  test("is not drawn off a terminal, with --json or with --quiet", () => {
    const plain = file();
    outputTo(plain.stream).out.live("x");
    assert.equal(plain.text(), "");
    for (const options of [{ json: true }, { quiet: true }]) {
      const screen = terminal(80);
      outputTo(screen.stream, options).out.live("x");
      assert.deepEqual(screen.shown(), []);
    }
  });
});

describe("cli/output: results and errors", (test) => {
  const error = new MystError("NO_DEPOSIT", "none", { hint: "make one", meta: { amount: 2n ** 70n } });

  test("a person gets text, a program gets one object with v: 1 and amounts as strings", () => {
    const { out, stdout } = outputTo(file().stream);
    out.print("text");
    out.object({ a: 1 });
    assert.equal(stdout.text(), "text\n");
    const json = outputTo(file().stream, { json: true });
    json.out.print("text");
    json.out.object({ amount: 2n ** 70n });
    assert.equal(json.stdout.text(), `{"v":1,"amount":"${2n ** 70n}"}\n`);
  });

  test("an error is on standard error with code and hint, and with --json on standard output too", () => {
    const stderr = file();
    const { out, stdout } = outputTo(stderr.stream, { json: true, quiet: true });
    out.fail(error);
    assert.equal(stderr.text(), "error [NO_DEPOSIT] none\n  hint: make one\n");
    const expected = { v: 1, error: { code: "NO_DEPOSIT", message: "none", hint: "make one", meta: { amount: String(2n ** 70n) } } };
    assert.deepEqual(JSON.parse(stdout.text()), expected);
  });

  test("colours are there when asked for and the stream takes them, and not with --no-color", () => {
    const screen = Object.assign(terminal(80).stream, { getColorDepth: WriteStream.prototype.getColorDepth });
    const colored = createOutput({ json: false, quiet: false, color: true, stdout: file().stream, stderr: screen });
    const before = { ...process.env };
    delete process.env.NO_COLOR;
    delete process.env.FORCE_COLOR;
    process.env.TERM = "xterm-256color";
    assert.equal(colored.style("red", "x"), "\u001b[31mx\u001b[39m");
    process.env.NO_COLOR = "1";
    assert.equal(colored.style("red", "x"), "x");
    process.env = before;
    assert.equal(outputTo(screen).out.style("red", "x"), "x");
  });

  test("tells causes all the way down", () => {
    assert.equal(causes(new Error("a", { cause: new Error("b", { cause: "c" }) })).length, 2);
  });
});

describe("cli/format", (test) => {
  const column = (title: string, flexible = false) => ({ title, cell: (row: string[]) => row[Number(title)] ?? "", flexible });

  test("a table fits 80 columns: what is flexible is cut", () => {
    const text = table([["a", "b".repeat(100), "c"]], [column("0"), column("1", true), column("2")]);
    for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(text, /^a {2}b+… {2}c$/m);
  });

  test("what peers wrote cannot move the cursor, repaint or turn the text around", () => {
    const hostile = "\u001b[2J\u001b]0;x\u0007evil\r\n\u202egnp.exe\u009b1A";
    const shown = printable(hostile);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none of these may be left
    assert.equal(/[\u0000-\u001f\u007f-\u009f\u202e]/.test(shown), false, JSON.stringify(shown));
    for (const text of [table([[hostile]], [column("0")]), facts({ a: hostile })])
      assert.ok(!text.includes("\u001b") && !text.includes("\r"));
  });

  test("facts leave out what is not there and give a list a line each", () => {
    assert.equal(facts({ a: "1", none: undefined, list: ["x", "y"], empty: [] }), "a     1\nlist  x\n      y");
    assert.equal(fit("abcdef", 4), "abc…");
  });
});

describe("cli/output: several live lines", (test) => {
  test("are drawn again in place, whatever their number, and go without a trace", () => {
    const screen = terminal(80);
    const { out } = outputTo(screen.stream);
    out.progress("above");
    out.live("one\ntwo\nthree");
    assert.deepEqual(screen.shown(), ["above", "one", "two", "three"]);
    out.live("1\n2");
    out.progress("between");
    assert.deepEqual(screen.shown(), ["above", "between", "1", "2"]);
    screen.resize(10);
    out.live("x".repeat(30));
    assert.deepEqual(screen.shown(), ["above", "between", `${"x".repeat(8)}…`]);
    out.dropLive();
    out.progress("below");
    assert.deepEqual(screen.shown(), ["above", "between", "below"]);
  });
});
