import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startAnvil } from "../../src/devnet/anvil.ts";
import { ask } from "../../src/devnet/funding.ts";
import { livingProcess } from "../../src/devnet/pids.ts";
import { isMystError } from "../../src/lib/errors.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { describe } from "../support/harness.ts";
import { makePlace, until } from "../support/processes.ts";

const log = silentLogger;
const holder = "0x00000000000000000000000000000000000000aa";

describe("e2e/devnet: anvil", (test) => {
  test("keeps its chain over a stop and a start, on ports of its own, and leaves no process", async () => {
    await using place = await makePlace();
    const stateFile = join(place.root, "chain.json");
    const first = await startAnvil({ stateFile, chainId: 4242, log });
    const other = await startAnvil({ log });
    assert.notEqual(first.rpc, other.rpc);
    assert.equal(await ask(first.rpc, "eth_chainId", []), "0x1092");
    await ask(first.rpc, "anvil_setBalance", [holder, "0x7b"]);
    await Promise.all([first.stop(), other.stop()]);
    assert.equal(existsSync(`${stateFile}.pid`), false);
    const again = await startAnvil({ stateFile, chainId: 4242, log });
    assert.equal(await ask(again.rpc, "eth_getBalance", [holder, "latest"]), "0x7b");
    await again.stop();
    await assert.rejects(ask(again.rpc, "eth_chainId", []), (error) => isMystError(error, "RPC_UNREACHABLE"));
    assert.deepEqual(place.processes(), []);
  });

  test("ends with the process that started it, killed as it may be, and its last state is kept", async () => {
    await using place = await makePlace();
    const stateFile = join(place.root, "chain.json");
    const source = fileURLToPath(new URL("../../src/devnet/", import.meta.url));
    const script = `
      const { startAnvil } = await import("${source}anvil.ts");
      const { ask } = await import("${source}funding.ts");
      const { silentLogger: log } = await import("${source}../lib/ports.ts");
      const anvil = await startAnvil({ stateFile: process.argv[1], log });
      await ask(anvil.rpc, "anvil_setBalance", ["${holder}", "0x7b"]);
      console.log("up");`;
    const starter = spawn(process.execPath, ["--input-type=module", "-e", script, stateFile], { stdio: ["ignore", "pipe", "inherit"] });
    await once(starter.stdout, "data");
    assert.ok((await livingProcess(`${stateFile}.pid`)) !== undefined);
    starter.kill("SIGKILL");
    await until(() => place.processes().length === 0, 5_000, "anvil and its guard to end");
    const again = await startAnvil({ stateFile, log });
    assert.equal(await ask(again.rpc, "eth_getBalance", [holder, "latest"]), "0x7b");
    await again.stop();
  });

  test("the next start ends one that was left behind", async () => {
    await using place = await makePlace();
    const stateFile = join(place.root, "chain.json");
    const left = await startAnvil({ stateFile, log });
    const next = await startAnvil({ stateFile, log });
    await left.ended;
    assert.notEqual(next.pid, left.pid);
    await next.stop();
    assert.deepEqual(place.processes(), []);
  });

  test("a damaged state file and a wish to stop have errors of their own", async () => {
    await using place = await makePlace();
    const stateFile = join(place.root, "chain.json");
    writeFileSync(stateFile, '{"torn');
    await assert.rejects(startAnvil({ stateFile, log }), (error) => isMystError(error, "STORE_CORRUPT"));
    await assert.rejects(startAnvil({ log, signal: AbortSignal.abort() }), (error) => isMystError(error, "INTERRUPTED"));
    assert.deepEqual(place.processes(), []);
  });
});
