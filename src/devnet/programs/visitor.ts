/**
 * A person at the keyboard of the devnet's consumer, as a process: `visitor.ts URL [SOCKS]` fetches a page and prints how far it has
 * come, one JSON object a line, the last of which is the whole visit.
 */
import { visit } from "../visit.ts";

const [url = "", socks] = process.argv.slice(2);
const tellMs = 100;
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
let toldMs = 0;
try {
  const done = await visit(url, {
    ...(socks && { socks }),
    onBytes: (bytes) => {
      if (performance.now() - toldMs < tellMs) return;
      toldMs = performance.now();
      say({ bytes });
    },
  });
  say({ visit: done });
} catch (error) {
  say({ error: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
