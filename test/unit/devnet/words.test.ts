import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { createScreen } from "../../../src/devnet/screen.ts";
import { commandName, nextLines, shellLines, shellPath } from "../../../src/devnet/words.ts";
import { describe } from "../../support/harness.ts";

describe("devnet/words: what to type", (test) => {
  test("names the command as it was called", () => {
    assert.equal(commandName("/home/u/clone/bin/mystnode.js", "/home/u/clone"), "node bin/mystnode.js");
    assert.equal(commandName("/opt/my clone/bin/mystnode.js", "/home/u"), "node '/opt/my clone/bin/mystnode.js'");
    assert.equal(commandName("/home/u/app/node_modules/.bin/mystnode", "/home/u/app"), "npx mystnode");
    assert.equal(commandName("/usr/local/bin/mystnode", "/home/u"), "mystnode");
  });

  test("writes paths so that a shell takes them as they are", () => {
    assert.equal(shellPath("/home/u/.local/share/x", "/home/u"), "~/.local/share/x");
    assert.equal(shellPath("/home/user2/x", "/home/u"), "/home/user2/x");
    assert.equal(shellPath("/home/u/my nodes", "/home/u"), "~/'my nodes'");
    assert.equal(shellPath("/tmp/it's", "/home/u"), "'/tmp/it'\\''s'");
  });

  test("what to try next fits 80 columns where the paths do", () => {
    const lines = nextLines({ command: "node bin/mystnode.js", guest: "/x/devnet/guest", webUrl: "http://127.0.0.1:65535", other: "DE" });
    assert.ok(lines.every((line) => line.length <= 80));
    assert.ok(lines.some((line) => line.trim() === "node bin/mystnode.js connect --country DE"));
    const to = { command: "node bin/mystnode.js", webUrl: "http://site.devnet", other: "DE" };
    const shell = shellLines({ ...to, dataDir: "/x/my data", sudo: true });
    assert.ok(shell.every((line) => line.length <= 80));
    assert.ok(shell.some((line) => line.trim() === "sudo node bin/mystnode.js devnet shell --data-dir '/x/my data'"));
    assert.ok(shellLines({ ...to, sudo: false }).some((line) => line.trim() === "node bin/mystnode.js devnet shell"));
  });
});

describe("devnet/screen: drawing in place", (test) => {
  const terminal = (rows: number) => {
    let text = "";
    const stream = new Writable({
      write: (chunk, _encoding, done) => {
        text += chunk;
        done();
      },
    });
    const take = () => {
      const taken = text;
      text = "";
      return taken;
    };
    return { stream: Object.assign(stream, { rows }), take };
  };
  const up = (rows: number) => `\u001b[${rows}A`;

  test("goes back over exactly what it drew, and says nothing when nothing changed", () => {
    const { stream, take } = terminal(24);
    const screen = createScreen(stream);
    screen.draw(["a", "b"]);
    assert.ok(!take().includes(up(2)));
    screen.draw(["a", "b"]);
    assert.equal(take(), "");
    screen.draw(["c"]);
    assert.ok(take().startsWith(up(2)));
    screen.draw(["d", "e"]);
    assert.ok(take().startsWith(up(1)));
  });

  test("lines that stay are written above, and a drawing never exceeds the terminal", () => {
    const { stream, take } = terminal(4);
    const screen = createScreen(stream);
    screen.draw(["1", "2", "3", "4", "5"]);
    assert.ok(!take().includes("2"));
    screen.print(["stays"]);
    const text = take();
    assert.ok(text.startsWith(up(3)) && text.indexOf("stays") < text.indexOf("5"));
    screen.draw(["x"]);
    assert.ok(take().startsWith(up(3)));
  });
});
