import assert from "node:assert/strict";
import { createChain } from "../../src/chain/client.ts";
import { deployNetwork } from "../../src/chain/deploy.ts";
import { startAnvil } from "../../src/devnet/anvil.ts";
import { ask, fund, giveGas } from "../../src/devnet/funding.ts";
import { visit } from "../../src/devnet/visit.ts";
import { startWebServer } from "../../src/devnet/web-server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { networkText } from "../../src/lib/network-config.ts";
import { silentLogger as log } from "../../src/lib/ports.ts";
import { startRpcLine } from "../fault/support/rpc-line.ts";
import { describe } from "../support/harness.ts";
import { makePlace, type Running, runCli, startCli } from "../support/processes.ts";
import { until } from "../support/until.ts";
import { words, write } from "./turns.ts";

const myst = 10n ** 18n;
const day = 86_400;

describe("e2e/watch: an exit that is killed while it is owed money", (test) => {
  test(
    "is paid all but the fee by a peer that was killed, too, although its payer closes and takes everything out",
    async () => {
      await using undo = new AsyncDisposableStack();
      const place = undo.use(await makePlace());
      const anvil = undo.use(await startAnvil({ log }));
      const web = undo.use(await startWebServer());
      // a payer that closes by this clock has closed two days ago: also an exit that may be about is cleared for by now
      await ask(anvil.rpc, "anvil_setTime", [Math.floor(Date.now() / 1000) - 2 * day]);
      const network = await deployNetwork({ rpc: anvil.rpc, name: "test" });
      const line = undo.use(await startRpcLine(anvil.rpc));
      const chain = createChain({ network, log, clock: systemClock });
      write(place, { "net.json": networkText(network), "line.json": networkText({ ...network, rpc: [line.url] }) });
      undo.defer(() => assert.deepEqual(place.processes(), []));

      const run = async (command: string) => {
        const { status, stdout, stderr } = await runCli([...words(place, command), "--json"], place);
        assert.equal(status, 0, `mystnode ${command}\n${stdout}${stderr}`);
        return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
      };
      const serve = async (command: string): Promise<{ running: Running; invite: string; peer: string; address: `0x${string}` }> => {
        const running = startCli([...words(place, `serve ${command} --listen 127.0.0.1:0`), "--json"], place);
        undo.defer(async () => {
          running.child.kill("SIGKILL");
          await running.ended;
        });
        await running.said(/"type":"serving"/);
        const { addresses, peer, address } = JSON.parse(running.stdout().split("\n")[0] ?? "");
        return { running, invite: addresses[0], peer, address };
      };
      const kill = async ({ running }: { running: Running }) => {
        running.child.kill("SIGKILL");
        assert.equal(await running.ended, "SIGKILL");
      };

      const exitLine = `--country DE --allow ${web.hostPort} --settle-at 5myst --price-gib 10myst --data-dir $exit --network $line.json`;
      const exit = await serve(exitLine);
      await giveGas(anvil.rpc, exit.address);
      const watching = `--watch --watch-fee 1.5% --service none --country FR --data-dir $watcher --network $net.json --bootstrap ${exit.invite}`;
      const watcher = await serve(watching);
      await giveGas(anvil.rpc, watcher.address);
      const payer = await run("init --network $net.json");
      await fund(anvil.rpc, network, payer.address, 20n * myst);
      await run("wallet deposit 10myst --bond 8myst --yes");

      const connect = `connect --proxy 127.0.0.1:0 --max-price-gib 10myst --bootstrap ${exit.invite}`;
      const consumer = startCli([...words(place, connect), "--json"], place);
      undo.defer(() => void consumer.child.kill("SIGKILL"));
      await consumer.said(/"type":"connected"/);
      const { endpoint } = JSON.parse(
        consumer
          .stdout()
          .split("\n")
          .find((text) => text.includes('"connected"')) ?? "",
      );
      await visit(`${web.url}/bytes?n=${4 << 20}`, { socks: endpoint.socks });
      // nothing can be cleared from here on, but checks can be handed out
      await line.become("down");
      await run("disconnect --wait");
      assert.equal(await consumer.ended, 0, consumer.stderr());

      type Channel = { role: string; unsettled: string; watched?: { amount: string; by: string[] } };
      const owedTo = async () =>
        ((await run("wallet channels --data-dir $exit")).channels as Channel[]).find(({ role }) => role === "provider");
      await until(async () => (await owedTo())?.watched !== undefined, 90_000);
      const channel = await owedTo();
      const owed = BigInt(channel?.unsettled ?? 0);
      assert.ok(owed > myst / 100n, `${owed} owed`);
      assert.deepEqual([channel?.watched?.amount, channel?.watched?.by], [String(owed), [watcher.peer]]);
      assert.deepEqual((await run("status --data-dir $exit")).serving.watching.byOthers.by, [watcher.peer]);
      const { forOthers } = (await run("status --data-dir $watcher")).serving.watching;
      assert.deepEqual([forOthers.feeBps, forOthers.channels, forOthers.amount], [150, 1, String(owed)]);

      await kill(exit);
      await kill(watcher);
      await run("wallet close --yes");
      assert.equal(await chain.credit(exit.address), 0n);
      await serve(watching);
      const fee = (owed * 150n) / 10_000n;
      await until(async () => (await chain.credit(exit.address)) > 0n, 60_000);
      assert.equal(await chain.credit(exit.address), owed - fee);
      assert.equal((await chain.balances(watcher.address)).tokens, fee);
      await ask(anvil.rpc, "evm_increaseTime", [3 * day]);
      await ask(anvil.rpc, "evm_mine", []);
      assert.equal((await run("wallet withdraw --yes")).withdrawn, String(18n * myst - owed));

      await line.become("up");
      await serve(exitLine);
      type Session = { state: string; promised: string; cleared: string };
      const session = async (): Promise<Session> => (await run("sessions --data-dir $exit")).sessions[0];
      await until(async () => (await session()).state === "CLEARED", 60_000);
      const { promised, cleared } = await session();
      assert.deepEqual([promised, cleared], [String(owed), String(owed)]);
      assert.equal((await run("wallet --data-dir $exit")).credit, String(owed - fee));
      assert.equal((await run("wallet settle --data-dir $exit")).collected, String(owed - fee));
      assert.equal((await chain.balances(exit.address)).tokens, owed - fee);
      assert.equal((await owedTo())?.watched, undefined);
    },
    { timeoutMs: 240_000 },
  );
});
