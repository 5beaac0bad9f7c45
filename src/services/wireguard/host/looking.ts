import { createToolSession } from "../backend/tool-session.ts";
import type { IpLine, Tools } from "./tools.ts";

/** How a look at the host is printed: the text of a table ("" where there is none), and what `ip` prints for each family. */
export type Looking = Pick<Tools, "ip" | "table"> & { close(): void };

/** What `nft` prints last for a look, also for a table that is not there; no table has such a line. */
const lastWords = { asked: "describe meta mark", printed: /^meta expression, datatype mark .*\n$/m };
/** The last line that `ip` prints for a look, and of no other form. */
const lastLine = { asked: "link show dev lo", printed: /^1: lo: <.*\n$/m };

/**
 * Looks by `nft` and `ip` that stay, for who looks every second: a tenth of what it takes to start them each time. They end with us, since their
 * input does.
 */
export function createLooking(): Looking {
  const nft = createToolSession("nft", ["-s", "-t", "-i"], false);
  const ips = ([4, 6] as const).map((family) => ({
    family,
    // a route table without routes is complained of
    session: createToolSession("ip", ["-force", "-o", `-${family}`, "-batch", "-"], false),
  }));
  return {
    table: async (name, family = "inet") => {
      const asked = nft.ask([`list table ${family} ${name}`, lastWords.asked], (printed) => lastWords.printed.test(printed));
      return (await asked.catch(() => "")).replace(lastWords.printed, "");
    },
    ip: async (lines: IpLine[]) => {
      const printed = await Promise.all(
        ips
          .filter(({ family }) => lines.some((line) => line.family === family))
          .map(async ({ family, session }) => {
            const asked = lines.filter((line) => line.family === family).map(({ line }) => line);
            return { [family]: await session.ask([...asked, lastLine.asked], (text) => lastLine.printed.test(text)) };
          }),
      );
      return Object.assign({}, ...printed);
    },
    close: () => {
      for (const session of [nft, ...ips.map(({ session }) => session)]) session.close();
    },
  };
}
