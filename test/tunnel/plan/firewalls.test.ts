import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { insertAccepts, missingAccepts, removeAccepts } from "../../../src/services/wireguard/host/other-chains.ts";
import { tools } from "../../../src/services/wireguard/host/tools.ts";
import { exitPlan } from "../../../src/services/wireguard/plan/exit.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { clients, type ExitRig, exitAddress, gateway, openExitThatRuns, target } from "./exit-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const refused = /^(EHOSTUNREACH|ECONNREFUSED|EACCES|ENETUNREACH)$/;
/** as the programs themselves made them, and both on one machine in either order */
const hosts = [["ufw"], ["docker"], ["ufw", "docker"], ["docker", "ufw"]];
const recorded = (name: string) => readFileSync(join(import.meta.dirname, "recorded", `${name}.nft`), "utf8");

describe("exit plan: beside the rules of ufw and Docker", (test, { before, after }) => {
  let rig: ExitRig;
  const tcp = (host: string, port: number) => rig.one.ask({ do: "tcp", host, port });
  const dns = () => rig.one.ask({ do: "udp", host: gateway, port: 53 });

  before(async () => {
    rig = await openExitThatRuns();
  });
  after(() => rig?.end());

  for (const names of hosts)
    test(
      `${names.join(" and ")}: what is dropped passes once told, what our table refuses does not, and it is left as it was`,
      async () => {
        const tool = tools(rig.exit.net.run);
        const { accepts } = exitPlan(rig.facts());
        const load = () => {
          for (const name of names) rig.exit.run("nft -f -", recorded(name));
        };
        load();
        const look = () => rig.exit.run("nft -s list table ip filter");
        const before = look();
        // with ufw neither a name is answered nor anything forwarded, with Docker nothing is forwarded
        assert.equal(await tcp("8.8.4.4", 443), "silence");
        if (names.includes("ufw")) assert.equal(await dns(), "silence");

        const passes = async () => {
          assert.equal(await tcp("8.8.4.4", 443), `open ${exitAddress} 8.8.4.4`);
          assert.equal(await dns(), `open ${clients[0]}`);
          // ufw allows SSH from anywhere, and Docker what it has published
          assert.match(await tcp(exitAddress, 22), refused);
          assert.match(await tcp("10.77.0.1", 443), refused);
          assert.match(await tcp(target, 25), refused);
        };
        await insertAccepts(tool, accepts);
        assert.equal(await missingAccepts(tool, accepts), 0);
        await passes();

        // either program is started anew
        rig.exit.run("nft delete table ip filter");
        load();
        assert.ok((await missingAccepts(tool, accepts)) > 0);
        assert.equal(await tcp("8.8.8.8", 443), "silence");
        await insertAccepts(tool, accepts);
        await passes();

        await removeAccepts(tool);
        assert.equal(look(), before);
        rig.exit.run("nft delete table ip filter; nft delete table ip nat || true");
      },
      { skip },
    );
});
