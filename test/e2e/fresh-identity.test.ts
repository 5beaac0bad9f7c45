import assert from "node:assert/strict";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { deployNetwork } from "../../src/chain/deploy.ts";
import { type Anvil, startAnvil } from "../../src/devnet/anvil.ts";
import { ask, fund } from "../../src/devnet/funding.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { type NetworkConfig, networkText } from "../../src/lib/network-config.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { describe } from "../support/harness.ts";
import { makePlace, type Place, type Running, runCli, startCli } from "../support/processes.ts";
import { words, write } from "./turns.ts";

const myst = 10n ** 18n;

describe("e2e: connect --fresh-identity", (register, { before, after }) => {
  let place: Place;
  let anvil: Anvil;
  let network: NetworkConfig;
  let serving: Running;
  before(
    async () => {
      place = await makePlace();
      anvil = await startAnvil({ log: silentLogger });
      network = await deployNetwork({ rpc: anvil.rpc, name: "test" });
      write(place, { "net.json": networkText(network) });
      serving = startCli(words(place, "serve --network $net.json --country US --listen 127.0.0.1:0 --json --data-dir $exit"), place);
      await serving.said(/"type":"serving"/);
    },
    { timeoutMs: 120_000 },
  );
  after(async () => {
    serving.child.kill("SIGTERM");
    await serving.ended;
    await anvil.stop();
    assert.deepEqual(place.processes(), []);
    await place[Symbol.asyncDispose]();
  });
  const run = async (line: string) => {
    const ended = await runCli([...words(place, line), "--json"], place);
    assert.equal(ended.status, 0, `mystnode ${line}\n${ended.stdout}${ended.stderr}`);
    return JSON.parse(ended.stdout.trimEnd().split("\n").at(-1) ?? "");
  };

  register(
    "each period has a key and a peer id of its own, paid for by the node's; the last one's account is closed in the next",
    async () => {
      const { address, peer } = await run("init --network $net.json");
      await fund(anvil.rpc, network, address as Hex, 50n * myst);
      const [invite = ""] = (await run("status --data-dir $exit")).addresses;
      const connected = async () => {
        const line = `connect --country US --budget 2myst --proxy 127.0.0.1:0 --bootstrap ${invite} --fresh-identity 24h --json`;
        const running = startCli(words(place, line), place);
        await running.said(/"type":"connected"/, 90_000);
        const { peer: own, address: signer, connection } = await run("status");
        assert.equal(connection.state, "ACTIVE");
        await run("disconnect");
        assert.equal(await running.ended, 0, running.stderr());
        return { own, signer };
      };
      const first = await connected();
      assert.notEqual(first.own, peer);
      assert.notEqual(first.signer, address);
      const { sessions } = await run("sessions --data-dir $exit");
      assert.deepEqual(
        sessions.map((one: { peer: string }) => one.peer),
        [first.own],
      );
      const account = await run(`wallet --data-dir $data/fresh/${readdirSync(join(place.dataDir, "fresh"))[0]}`);
      assert.deepEqual([account.owner, account.line, account.bond], [address, String(2n * myst), String(myst)]);
      assert.deepEqual(await connected(), first, "the same within the period");

      const fresh = join(place.dataDir, "fresh");
      const [name = ""] = readdirSync(fresh);
      renameSync(join(fresh, name), join(fresh, "20200101T0000Z-24h"));
      const second = await connected();
      assert.notEqual(second.own, first.own);
      const old = await run("wallet --data-dir $data/fresh/20200101T0000Z-24h");
      assert.ok(old.closeAtMs > Date.now());
      await ask(anvil.rpc, "evm_increaseTime", [3 * 86_400 + 60]);
      await ask(anvil.rpc, "evm_mine", []);
      assert.equal((await run(`wallet withdraw --yes --for ${first.signer}`)).withdrawn, String(3n * myst));
    },
    { timeoutMs: 300_000 },
  );
});
