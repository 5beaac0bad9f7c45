import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "../../support/harness.ts";
import { allImports, type Import, root, sourceFiles } from "./imports.ts";

const files = new Set(sourceFiles());
const imports = allImports().filter(({ kind }) => kind !== "type");
/** Folders and files that are for Linux alone. */
const linuxOnly = /^(services\/wireguard\/(helper|host|backend|plan)|devnet\/netns)\//;
/** What only works there: its files, and programs that are to be run. */
const linuxText =
  /\/proc\b|\/sys\/|\/etc\/|\bsetpriv\b|\bnsenter\b|\bunshare\b|"(nft|conntrack)"|(spawn|run|exec\w*)\("(ip|wg)"|node:child_process/;

/** All that can come to be loaded from these files. `through` may close doors: imports that are made for something else only. */
function reached(from: string[], through: (one: Import) => boolean = () => true): Map<string, string> {
  const seen = new Map<string, string>();
  const visit = (file: string, way: string) => {
    if (seen.has(file)) return;
    seen.set(file, way);
    for (const one of imports) if (one.from === file && through(one)) visit(one.to, `${way} > ${one.to}`);
  };
  for (const file of from) visit(file, file);
  return seen;
}

const waysTo = (seen: Map<string, string>, what: (file: string) => boolean) =>
  [...seen].flatMap(([file, way]) => (what(file) ? [way] : []));
const hasLinuxText = (file: string) => files.has(file) && linuxText.test(readFileSync(join(root, "src", file), "utf8"));

describe("architecture: the proxy runs wherever Node runs", (test) => {
  for (const part of ["consumer", "provider"])
    test(`nothing that services/proxy/${part}.ts can load is for Linux alone`, () => {
      const seen = reached([`services/proxy/${part}.ts`]);
      assert.ok(seen.size > 5);
      assert.deepEqual(
        waysTo(seen, (file) => linuxOnly.test(file) || hasLinuxText(file) || file === "node:child_process"),
        [],
      );
    });

  /** Lazy imports that a tunnel, or another command, has to be asked for to get. */
  const doors: Record<string, RegExp> = {
    // runs other commands of this very program
    "cli/connect.ts": /^cli\/fresh\.ts$/,
    "cli/main.ts": /^cli\/(?!connect\.ts|serve\.ts)/,
    "node/helper.ts": /^services\/wireguard\//,
    "node/selling.ts": /^services\/wireguard\//,
  };
  const isOpen = ({ from, to, kind }: Import) => kind !== "lazy" || !doors[from]?.test(to);

  test("nor is anything on the way of 'connect --service proxy' and 'serve --service proxy'", () => {
    const seen = reached(["cli/main.ts", "node.ts"], isOpen);
    for (const file of ["cli/connect.ts", "cli/serve.ts", "services/proxy/consumer.ts", "services/proxy/provider.ts", "network/host.ts"])
      assert.ok(seen.has(file), file);
    assert.deepEqual(
      waysTo(seen, (file) => linuxOnly.test(file)),
      [],
    );
    // what these ask of Linux they do without elsewhere: privileges, users, the socket's path, and the router
    const guarded = [
      "network/mapping/gateway.ts",
      "cli/privileges.ts",
      "cli/users.ts",
      "cli/handing.ts",
      "node/helper.ts",
      "api/socket-path.ts",
    ];
    assert.deepEqual(
      waysTo(seen, (file) => hasLinuxText(file) && !guarded.includes(file)),
      [],
    );
  });

  test("the walk would see it: a tunnel's way leads there, and each door leads somewhere", () => {
    assert.ok(waysTo(reached(["node/helper.ts"]), (file) => linuxOnly.test(file)).length > 0);
    assert.ok(hasLinuxText("services/wireguard/host/state-file.ts") || hasLinuxText("services/wireguard/helper/calls.ts"));
    for (const [from, behind] of Object.entries(doors))
      assert.ok(
        imports.some((one) => one.from === from && one.kind === "lazy" && behind.test(one.to)),
        from,
      );
  });
});
